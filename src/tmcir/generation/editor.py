"""Editors: images, texts and seeds in, edited images out, whatever pipeline draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from PIL import Image
from transformers import Qwen2VLProcessor
from transformers.utils import logging as transformers_logging

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.json_files import read_json
from tmcir.core.shipped import EDITOR_INDEX as INDEX
from tmcir.core.shipped import is_shipped, shipped_folder, shipped_names
from tmcir.generation.pipelines import (
    SETTINGS,
    PipelineKind,
    call_settings,
    hushed,
    import_pipeline,
    kind_of,
)
from tmcir.generation.recipe import EditorSettings
from tmcir.models.preprocessing import ImagePreprocessor


class Editor:
    """A diffusers pipeline as an editor of images.

    Args:
        pipeline: The pipeline, on its device.
        kind: What it is called with.
        settings: What is asked of it.

    Attributes:
        name: Where the editor comes from.
        size: Side of its pictures, in pixels.
        called: The settings of every call, with their values.

    Raises:
        TMCIRError: The pipeline does not have a setting that is asked for, or cannot draw pictures
            of the size that is asked for.
    """

    def __init__(
        self, pipeline: DiffusionPipeline, kind: PipelineKind, settings: EditorSettings
    ) -> None:
        self.name = settings.source
        self.called = call_settings(kind, {name: getattr(settings, name) for name in SETTINGS})
        self.size = settings.size or kind.size or _own_size(pipeline)
        self._pipeline = pipeline
        self._kind = kind
        self._settings = settings
        self._preprocessor = ImagePreprocessor(size=self.size, fit=settings.fit)
        multiple = _size_step(pipeline)
        if self.size % multiple:
            raise TMCIRError(f"editor.size: {self.size} is not a multiple of {multiple}")

    @property
    def described(self) -> dict[str, Any]:
        """All that a picture depends on besides its image, text and seed; plain values."""
        own = {name: getattr(self._settings, name) for name in ("prompt", "fit", "precision")}
        if self._settings.negative_prompt:
            own["negative_prompt"] = self._settings.negative_prompt
        return {**self.called, **own, "size": self.size}

    def edit(
        self, images: Sequence[Image.Image], texts: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """Edit each image as its text asks.

        A picture depends on its image, text and seed alone, up to the rounding of floats: not on
        what else is in the batch.

        Args:
            images: N references, in mode RGB.
            texts: N modification texts.
            seeds: N seeds, each in [0, 2**63).

        Returns:
            N images in mode RGB, squares of ``size`` pixels a side.

        Raises:
            TMCIRError: The counts differ.
        """
        if not len(images) == len(texts) == len(seeds):
            raise TMCIRError(
                f"{len(images)} images, {len(texts)} texts and {len(seeds)} seeds do not pair up"
            )
        squares = [Image.fromarray(self._preprocessor.resize(image)) for image in images]
        prompts = [self._settings.prompt.replace("{text}", text) for text in texts]
        # On the CPU whatever the device, so that a seed means the same everywhere.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        size = len(squares) if self._kind.together else 1
        edited: list[Image.Image] = []
        for start in range(0, len(squares), size or 1):
            part = slice(start, start + size)
            edited += self._call(squares[part], prompts[part], generators[part])
        return [image.convert("RGB") for image in edited]

    def _call(
        self,
        images: list[Image.Image],
        prompts: list[str],
        generators: list[torch.Generator],
    ) -> list[Image.Image]:
        arguments: dict[str, Any] = {
            self._kind.arguments[name]: value for name, value in self.called.items()
        }
        if self._kind.sized:
            arguments |= {"height": self.size, "width": self.size}
        if self._kind.pipeline == "FluxKontextPipeline":
            arguments["max_area"] = self.size**2
        arguments |= self._kind.extra
        # Where it is empty the pipeline's own default counts: zeros, not empty words, for SDXL.
        if self._settings.negative_prompt:
            arguments["negative_prompt"] = [self._settings.negative_prompt] * len(prompts)
        # At every call, SDXL's autoencoder is said to be cast otherwise than it should be, and
        # whatever a batch's longest text is cut by is shown for all of its texts.
        with hushed(
            "diffusers.models.modeling_utils",
            "diffusers.pipelines",
            "transformers.tokenization_utils_base",
        ):
            result = self._pipeline(
                prompt=prompts, image=images, generator=generators, output_type="pil", **arguments
            )
        images_out: list[Image.Image] = result.images
        return images_out


def load_editor(settings: EditorSettings, device: str | None = None) -> Editor:
    """Load an editor: a shipped one, a folder, or a hub id.

    Args:
        settings: Which, and how.
        device: A torch device; None takes a GPU where there is one.

    Raises:
        TMCIRError: There is no such editor, its pipeline is not supported, or a setting does not
            apply to it.
    """
    folder = settings.source
    if is_shipped(folder, INDEX):
        folder = str(shipped_folder(folder, INDEX) or folder)
    kind = kind_of(_checkpoint_class(folder, settings.source), settings.source)
    call_settings(kind, {name: getattr(settings, name) for name in SETTINGS})
    if settings.negative_prompt and not kind.negative:
        raise TMCIRError(f"editor.negative_prompt: {kind.pipeline} has no such setting")
    accelerator = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if settings.offload != "none" and accelerator == "cpu":
        raise TMCIRError(f"editor.offload={settings.offload} needs a GPU, and there is none")
    try:
        pipeline = _load_pipeline(folder, kind, settings.precision)
    except Exception as error:  # whatever the libraries say of a damaged folder, in one line
        reason = first_line(error)
        raise TMCIRError(f"editor {settings.source}: cannot be loaded: {reason}") from None
    pipeline.set_progress_bar_config(disable=True)
    if settings.vae_tiling:
        if not hasattr(pipeline.vae, "enable_tiling"):
            raise TMCIRError(f"editor.vae_tiling: {settings.source} decodes no tiles")
        pipeline.vae.enable_tiling()
    if settings.offload == "model":
        pipeline.enable_model_cpu_offload(device=accelerator)
    elif settings.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=accelerator)
    else:
        pipeline.to(accelerator)
    return Editor(pipeline, kind, settings)


def _checkpoint_class(folder: str, source: str) -> str:
    """Return the pipeline class that a checkpoint names."""
    path = Path(folder) / INDEX
    if not Path(folder).is_dir():
        try:
            path = Path(hf_hub_download(folder, INDEX))
        except (OSError, HfHubHTTPError, HFValidationError) as error:
            shipped = ", ".join(shipped_names(INDEX)) or "none"
            raise TMCIRError(
                f"editor {source}: neither a shipped editor ({shipped}), a folder nor a hub id"
                f" that can be read: {first_line(error)}"
            ) from None
    content = read_json(path)
    if not isinstance(content, dict):
        raise TMCIRError(f"editor {source}: {INDEX} is not an object")
    return str(content.get("_class_name"))


def _load_pipeline(folder: str, kind: PipelineKind, precision: str) -> DiffusionPipeline:
    pipeline_class = import_pipeline(kind.pipeline)
    if not Path(folder).is_dir():
        folder = pipeline_class.download(folder, use_safetensors=True)
    _check_parts(Path(folder))
    parts: dict[str, Any] = {}
    if kind.pipeline == "QwenImageEditPipeline":
        parts["processor"] = _ImageTextProcessor.from_pretrained(Path(folder) / "processor")
    # An autoencoder other than AutoencoderKL, such as that of our own editor, is warned of.
    with _without_bars(), hushed("diffusers.pipelines.pipeline_utils"):
        return pipeline_class.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, **parts
        )


def _check_parts(folder: Path) -> None:
    """See that every part is there: for want of a tokenizer, transformers makes up an empty one.

    Raises:
        TMCIRError: A part is missing.
    """
    for name, entry in read_json(folder / INDEX).items():
        named = isinstance(entry, list) and entry != [None, None]
        if named and not (folder / name).is_dir():
            raise TMCIRError(f"its folder {name} is missing")


class _ImageTextProcessor(Qwen2VLProcessor):
    """Qwen's processor without its part for videos, which needs torchvision."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Show no progress bars of reading the weights from disk: there is one for each part."""
    shown = [
        library
        for library in (diffusers_logging, transformers_logging)
        if library.is_progress_bar_enabled()
    ]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def _size_step(pipeline: DiffusionPipeline) -> int:
    """Return what a picture's side must be a multiple of."""
    patch = getattr(pipeline, "patch_size", 1)
    return int(pipeline.image_processor.config.vae_scale_factor * patch)


def _own_size(pipeline: DiffusionPipeline) -> int:
    """Return the side of the pictures that a checkpoint was trained on."""
    side = pipeline.unet.config.sample_size
    if not isinstance(side, int):
        raise TMCIRError("editor.size: must be given, as the checkpoint does not say it")
    return int(side * pipeline.vae_scale_factor)
