"""From a decoded image to the pixel values that a tower reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tmcir.core.errors import TMCIRError
from tmcir.core.images import read_image
from tmcir.runs.prefetch import prefetch

if TYPE_CHECKING:
    from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
Fit = Literal["crop", "pad", "targetpad", "stretch"]
"""How an image is made square, see ``ImagePreprocessor``."""

FITS: tuple[str, ...] = get_args(Fit)
TARGET_RATIO = 1.25
"""Sides of an image that ``targetpad`` leaves as it is, the longer by the shorter, at most."""

_RESAMPLING = {2: Image.Resampling.BILINEAR, 3: Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class ImagePreprocessor:
    """Resize, make square, scale and normalise, as a checkpoint's preprocessor file says.

    Attributes:
        size: Side of the square that the tower reads, in pixels.
        fit: How an image is made square: ``crop`` cuts the centre square, as CLIP was trained;
            ``pad`` keeps the whole image on a white square, for catalogues whose products fill tall
            or wide photos; ``targetpad`` pads with black until one side is at most 1.25 times the
            other and then crops (CLIP4Cir, SPRC and others on Fashion-IQ and CIRR); ``stretch``
            scales both sides, as SigLIP and BLIP-2 were trained.
        mean: Per-channel mean of pixel values in [0, 1].
        std: Per-channel standard deviation.
        resample: Pillow's number of the filter, 2 bilinear or 3 bicubic.
        resize_size: What the shorter side is scaled to before the crop; None: ``size``.
    """

    size: int
    fit: Fit = "crop"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resample: int = 3
    resize_size: int | None = None

    def resize(self, image: Image.Image) -> np.ndarray:
        """Return an RGB image as uint8 [size, size, 3]."""
        if self.fit == "stretch":
            return np.asarray(image.resize((self.size, self.size), _RESAMPLING[self.resample]))
        if self.fit == "pad":
            return self._padded(image)
        return self._cropped(_pad_to_ratio(image) if self.fit == "targetpad" else image)

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return which part of an image ``resize`` shows.

        Returns:
            (left, top, right, bottom) as shares of width and height: within [0, 1] where the image
            is cut, beyond it where it is padded.
        """
        if self.fit == "stretch":
            return 0.0, 0.0, 1.0, 1.0
        side: float = max(width, height)
        if self.fit != "pad":
            shorter = min(width, height)
            if self.fit == "targetpad":
                shorter = max(shorter, int(side / TARGET_RATIO))
            side = shorter * self.size / (self.resize_size or self.size)
        across, down = side / width, side / height
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2

    def normalise(self, pixels: Tensor) -> Tensor:
        """Scale uint8 or float [N, 3, S, S] with values in 0..255 to normalised float32."""
        values = pixels.float()
        mean, std = (values.new_tensor(one).view(1, 3, 1, 1) * 255 for one in (self.mean, self.std))
        return (values - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """Return the content of preprocessor_config.json, readable by transformers as well."""
        square = {"height": self.size, "width": self.size}
        stretched = self.fit == "stretch"
        return {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": square if stretched else {"shortest_edge": self.resize_size or self.size},
            "resample": self.resample,
            "do_center_crop": not stretched,
            "crop_size": square,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "fit": self.fit,
        }

    @classmethod
    def from_dict(cls, settings: dict[str, Any], image_size: int) -> ImagePreprocessor:
        """Read a preprocessor_config.json, of ours or of a model of transformers.

        Args:
            settings: The file's content; {} gives CLIP's defaults.
            image_size: Side that the tower was built for, in pixels; a file of ours names its own.

        Raises:
            TMCIRError: The file asks for a filter or a fit that is not supported.
        """
        resample = settings.get("resample", 3)
        fit = settings.get("fit", "stretch" if _stretches(settings) else "crop")
        if resample not in _RESAMPLING or fit not in FITS:
            raise TMCIRError(
                f"preprocessor_config.json: resample {resample!r} and fit {fit!r} are not"
                f" supported: resample is 2 or 3, fit is one of {', '.join(FITS)}"
            )
        if "fit" in settings and "crop_size" in settings:
            image_size = settings["crop_size"]["height"]
        return cls(
            size=image_size,
            fit=fit,
            mean=tuple(settings.get("image_mean", CLIP_MEAN)),
            std=tuple(settings.get("image_std", CLIP_STD)),
            resample=resample,
            resize_size=_resize_size(settings, image_size),
        )

    def _cropped(self, image: Image.Image) -> np.ndarray:
        width, height = image.size
        resize_size = self.resize_size or self.size
        # As transformers' CLIP does it: multiplied first, and cut down to whole pixels.
        shorter = min(width, height)
        resized = (int(resize_size * width / shorter), int(resize_size * height / shorter))
        image = image.resize(resized, _RESAMPLING[self.resample])
        left, top = (resized[0] - self.size) // 2, (resized[1] - self.size) // 2
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def _padded(self, image: Image.Image) -> np.ndarray:
        scale = self.size / max(image.size)
        resized = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize((resized[0], resized[1]), _RESAMPLING[self.resample])
        canvas = Image.new("RGB", (self.size, self.size), "white")
        canvas.paste(image, ((self.size - image.width) // 2, (self.size - image.height) // 2))
        return np.asarray(canvas)


def _pad_to_ratio(image: Image.Image) -> Image.Image:
    """Pad the shorter side with black, until the longer one is TARGET_RATIO times as long."""
    longer = max(image.size)
    if longer < TARGET_RATIO * min(image.size):
        return image
    left, top = (max(0, int((longer / TARGET_RATIO - side) / 2)) for side in image.size)
    canvas = Image.new("RGB", (image.width + 2 * left, image.height + 2 * top))
    canvas.paste(image, (left, top))
    return canvas


def _stretches(settings: dict[str, Any]) -> bool:
    size = settings.get("size")
    return isinstance(size, dict) and "height" in size and not settings.get("do_center_crop")


def _resize_size(settings: dict[str, Any], image_size: int) -> int | None:
    """Return what the shorter side is scaled to before a crop of ``image_size``; None: to that."""
    share = settings.get("crop_pct")  # of ConvNeXt, whose own file names no crop
    if share is not None:
        return int(image_size / share)
    size, crop = settings.get("size"), settings.get("crop_size")
    shorter: int | None = size.get("shortest_edge") if isinstance(size, dict) else None
    cropped: int | None = crop.get("height") if isinstance(crop, dict) else None
    if shorter is None or cropped is None or shorter <= cropped:
        return None
    return round(image_size * shorter / cropped)


def read_pixels(
    images: Sequence[str | Path | Image.Image], preprocessor: ImagePreprocessor
) -> NDArray[np.uint8]:
    """Read images as uint8 [N, 3, size, size].

    Decodes in threads: Pillow releases the interpreter lock while it decodes and resizes.

    Raises:
        ImageError: An image is missing, broken or too large.
    """

    def read(image: str | Path | Image.Image) -> np.ndarray:
        return preprocessor.resize(read_image(image, minimum_side=preprocessor.size))

    stacked = np.stack(list(prefetch(read, images, ahead=len(images), threads=4)))
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
