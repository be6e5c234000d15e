"""Editors over diffusers pipelines: images, texts and seeds in, edited images out."""

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
from transformers.utils import logging as transformers_logging

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.json_files import read_json
from tmcir.core.shipped import EDITOR_INDEX as INDEX
from tmcir.core.shipped import is_shipped, shipped_folder, shipped_names
from tmcir.generation.pipelines import (
    SETTINGS,
    PipelineKind,
    call_settings,
    import_pipeline,
    kind_of,
    without_warnings,
)
from tmcir.generation.recipe import EditorSettings
from tmcir.models.preprocessing import ImagePreprocessor


class Editor:
    """A diffusers pipeline as an editor of images.

    Args:
        pipeline: The pipeline, on its device.
        kind: The arguments of its calls.
        settings: How it edits.

    Attributes:
        name: Source of the editor.
        size: Side of its pictures, in pixels.
        called: The settings of every call and their values.

    Raises:
        TMCIRError: The settings name one that the pipeline does not have, or a size that it cannot
            draw.
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
        """All settings that a picture depends on, as plain values."""
        own = {name: getattr(self._settings, name) for name in ("prompt", "fit", "precision")}
        if self._settings.negative_prompt:
            own["negative_prompt"] = self._settings.negative_prompt
        return {**self.called, **own, "size": self.size}

    def edit(
        self, images: Sequence[Image.Image], texts: Sequence[str], seeds: Sequence[int]
    ) -> list[Image.Image]:
        """Edit each image as its text asks.

        A picture depends only on its image, text and seed, up to rounding, and not on the rest of
        the batch.

        Args:
            images: N references, in mode RGB.
            texts: N modification texts.
            seeds: N seeds, each in [0, 2**63).

        Returns:
            N square images in mode RGB, ``size`` pixels a side.

        Raises:
            TMCIRError: The counts differ.
        """
        if not len(images) == len(texts) == len(seeds):
            raise TMCIRError(
                f"{len(images)} images, {len(texts)} texts and {len(seeds)} seeds do not pair up"
            )
        inputs = [Image.fromarray(self._preprocessor.resize(image)) for image in images]
        prompts = [self._settings.prompt.replace("{text}", text) for text in texts]
        # On the CPU for every device, so that a seed means the same everywhere.
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        size = max(1, len(inputs)) if self._kind.batches else 1
        edited: list[Image.Image] = []
        for start in range(0, len(inputs), size):
            part = slice(start, start + size)
            edited += self._call(inputs[part], prompts[part], generators[part])
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
        if self._kind.takes_size:
            arguments |= {"height": self.size, "width": self.size}
        if self._kind.area_argument is not None:
            arguments[self._kind.area_argument] = self.size**2
        arguments |= self._kind.extra
        # An empty one would replace the pipeline's default, which is zeros for SDXL.
        if self._settings.negative_prompt:
            arguments["negative_prompt"] = [self._settings.negative_prompt] * len(prompts)
        # SDXL warns of its autoencoder's cast at every call, CLIP's tokenizer of all texts of a
        # batch where it cuts the longest.
        with without_warnings(
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
    except Exception as error:  # a damaged folder may raise anything
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
    parts = {name: load_part(Path(folder) / name) for name, load_part in kind.parts.items()}
    # diffusers warns of every autoencoder other than AutoencoderKL, such as our own editor's.
    with _without_bars(), without_warnings("diffusers.pipelines.pipeline_utils"):
        return pipeline_class.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, **parts
        )


def _check_parts(folder: Path) -> None:
    """Check that every part is there; without its files transformers builds an empty tokenizer.

    Raises:
        TMCIRError: A part is missing.
    """
    for name, entry in read_json(folder / INDEX).items():
        named = isinstance(entry, list) and entry != [None, None]
        if named and not (folder / name).is_dir():
            raise TMCIRError(f"its folder {name} is missing")


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hide the progress bars of reading weights, one per part."""
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
    """Return the number of which a picture's side must be a multiple."""
    patch = getattr(pipeline, "patch_size", 1)
    return int(pipeline.image_processor.config.vae_scale_factor * patch)


def _own_size(pipeline: DiffusionPipeline) -> int:
    """Return the side of the pictures that a checkpoint was trained on."""
    side = pipeline.unet.config.sample_size
    if not isinstance(side, int):
        raise TMCIRError("editor.size: give it, because the checkpoint does not name one")
    return int(side * pipeline.vae_scale_factor)
