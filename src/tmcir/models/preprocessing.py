"""From a decoded image to the pixel values that a tower reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmcir.core.errors import TMCIRError
from tmcir.core.images import read_image
from tmcir.runs.prefetch import prefetch

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
Fit = Literal["crop", "pad"]
"""How an image is made square."""

_RESAMPLING = {2: Image.Resampling.BILINEAR, 3: Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class ImagePreprocessor:
    """Resize, make square, scale and normalise, as a checkpoint's preprocessor file says.

    Attributes:
        size: Side of the square that the tower reads, in pixels.
        fit: ``crop`` cuts the centre square, as CLIP was trained; ``pad`` keeps the whole image on
            a white square, for catalogues whose products fill tall or wide photos.
        mean: Per-channel mean of pixel values in [0, 1].
        std: Per-channel standard deviation.
        resample: Pillow's number of the filter, 2 bilinear or 3 bicubic.
    """

    size: int
    fit: Fit = "crop"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resample: int = 3

    def resize(self, image: Image.Image) -> np.ndarray:
        """Return an RGB image as uint8 [size, size, 3]."""
        if self.fit == "pad":
            return self._padded(image)
        width, height = image.size
        # As transformers' CLIP does it: multiplied first, and cut down to whole pixels.
        shorter = min(width, height)
        resized = (int(self.size * width / shorter), int(self.size * height / shorter))
        image = image.resize(resized, _RESAMPLING[self.resample])
        left, top = (resized[0] - self.size) // 2, (resized[1] - self.size) // 2
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def region(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return which part of an image ``resize`` shows.

        Returns:
            (left, top, right, bottom) as shares of width and height: within [0, 1] where the image
            is cut, beyond it where it is padded.
        """
        side = max(width, height) if self.fit == "pad" else min(width, height)
        across, down = side / width, side / height
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2

    def normalise(self, pixels: Tensor) -> Tensor:
        """Scale uint8 or float [N, 3, S, S] with values in 0..255 to normalised float32."""
        mean = torch.tensor(self.mean, device=pixels.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.std, device=pixels.device).view(1, 3, 1, 1) * 255
        return (pixels.float() - mean) / std

    def to_dict(self) -> dict[str, Any]:
        """Return the content of preprocessor_config.json, readable by transformers as well."""
        return {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": self.size},
            "resample": self.resample,
            "do_center_crop": True,
            "crop_size": {"height": self.size, "width": self.size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "fit": self.fit,
        }

    @classmethod
    def from_dict(cls, settings: dict[str, Any], image_size: int) -> ImagePreprocessor:
        """Read a CLIP preprocessor_config.json.

        Args:
            settings: The file's content; {} gives CLIP's defaults.
            image_size: Side that the tower was built for, in pixels.

        Raises:
            TMCIRError: The file asks for a filter or a fit that is not supported.
        """
        resample = settings.get("resample", 3)
        fit = settings.get("fit", "crop")
        if resample not in _RESAMPLING or fit not in ("crop", "pad"):
            raise TMCIRError(
                f"preprocessor_config.json: resample {resample!r} and fit {fit!r} are not"
                " supported: resample is 2 or 3, fit is 'crop' or 'pad'"
            )
        return cls(
            size=image_size,
            fit=fit,
            mean=tuple(settings.get("image_mean", CLIP_MEAN)),
            std=tuple(settings.get("image_std", CLIP_STD)),
            resample=resample,
        )

    def _padded(self, image: Image.Image) -> np.ndarray:
        scale = self.size / max(image.size)
        resized = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize((resized[0], resized[1]), _RESAMPLING[self.resample])
        canvas = Image.new("RGB", (self.size, self.size), "white")
        canvas.paste(image, ((self.size - image.width) // 2, (self.size - image.height) // 2))
        return np.asarray(canvas)


def read_pixels(
    images: Sequence[str | Path | Image.Image], preprocessor: ImagePreprocessor
) -> Tensor:
    """Read images as uint8 [N, 3, size, size] on the CPU.

    Decodes in threads: Pillow releases the interpreter lock while it decodes and resizes.

    Raises:
        ImageError: An image is missing, broken or too large.
    """

    def read(image: str | Path | Image.Image) -> np.ndarray:
        return preprocessor.resize(read_image(image, minimum_side=preprocessor.size))

    stacked = np.stack(list(prefetch(read, images, ahead=len(images), threads=4)))
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
