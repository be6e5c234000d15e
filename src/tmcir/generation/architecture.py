"""Our own editor's parts, put together as a stock diffusers pipeline.

The class is ``StableDiffusionInstructPix2PixPipeline`` (Brooks et al., arXiv 2211.09800) with a
text tower of ours instead of CLIP's.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from tmcir.core.errors import TMCIRError, first_line
from tmcir.core.files import write_text
from tmcir.core.json_files import read_json
from tmcir.core.shipped import EDITOR_INDEX, shipped_folder, shipped_names
from tmcir.generation.autoencoder import PatchAutoencoder
from tmcir.generation.pipelines import import_pipeline, without_warnings
from tmcir.generation.recipe import EditorRecipe
from tmcir.models.encoders.clip import ClipEncoder
from tmcir.models.tmcir import TMCIR

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline

_PIPELINE = "StableDiffusionInstructPix2PixPipeline"


def build_pipeline(
    recipe: EditorRecipe, towers: TMCIR, autoencoder: PatchAutoencoder
) -> StableDiffusionInstructPix2PixPipeline:
    """Put an untrained denoiser between an autoencoder and a text tower.

    Raises:
        TMCIRError: The towers are no CLIP.
    """
    settings, channels = recipe.denoiser, recipe.autoencoder.latent_channels
    if not isinstance(towers.encoder, ClipEncoder):
        raise TMCIRError(
            f"towers: an editor's text tower comes from a CLIP, not from {towers.encoder.family!r}"
        )
    tower = towers.encoder.clip.text_model
    denoiser = UNet2DConditionModel(
        sample_size=recipe.image_size // recipe.autoencoder.patch_size,
        in_channels=2 * channels,
        out_channels=channels,
        block_out_channels=settings.channels,
        layers_per_block=settings.layers,
        down_block_types=tuple(
            "CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in settings.attention
        ),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=tuple(
            "CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in settings.attention[::-1]
        ),
        cross_attention_dim=tower.config.hidden_size,
        attention_head_dim=settings.heads,
        norm_num_groups=settings.norm_groups,
    )
    # Velocity prediction, no signal at the last timestep, and steps counted from there make a few
    # steps enough (Lin et al., arXiv 2305.08891).
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    pipeline: StableDiffusionInstructPix2PixPipeline = import_pipeline(_PIPELINE)(
        vae=autoencoder,
        text_encoder=tower.requires_grad_(False).eval(),
        tokenizer=towers.encoder.tokenizer,
        unet=denoiser,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipeline


def load_autoencoder(start: str) -> PatchAutoencoder:
    """Load the autoencoder of an editor of our own, in float32.

    Raises:
        TMCIRError: There is no such editor, or it is not one of our own.
    """
    autoencoder: PatchAutoencoder = _part(PatchAutoencoder, start, "vae")
    return autoencoder


def load_denoiser(pipeline: StableDiffusionInstructPix2PixPipeline, start: str) -> None:
    """Put the weights of another editor's denoiser into a pipeline.

    Raises:
        TMCIRError: There is no such editor, or its denoiser has other sizes.
    """
    weights = _part(UNet2DConditionModel, start, "unet").state_dict()
    try:
        pipeline.unet.load_state_dict(weights)
    except RuntimeError:
        raise TMCIRError(
            f"start: the denoiser of {start} has other sizes than the recipe says"
        ) from None


def _part(kind: Any, start: str, name: str) -> Any:
    folder = Path(start) if Path(start).is_dir() else shipped_folder(start, EDITOR_INDEX)
    if folder is None:
        shipped = ", ".join(shipped_names(EDITOR_INDEX)) or "none"
        raise TMCIRError(f"start: {start} is neither a folder nor a shipped editor ({shipped})")
    index = read_json(folder / EDITOR_INDEX)
    if not isinstance(index, dict) or index.get(name, [None, None])[1] != kind.__name__:
        raise TMCIRError(f"start: {start} is not an editor that `tmcir train-editor` made")
    try:
        return kind.from_pretrained(folder / name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise TMCIRError(f"start: {start} cannot be loaded: {reason}") from None


def text_states(pipeline: StableDiffusionInstructPix2PixPipeline, texts: list[str]) -> Tensor:
    """Return float32 [B, L, W], what the denoiser attends to, as the pipeline computes it."""
    with torch.no_grad():
        states: Tensor = pipeline._encode_prompt(
            texts,
            device=pipeline.text_encoder.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
    return states.float().cpu()


def save_pipeline(
    pipeline: StableDiffusionInstructPix2PixPipeline, target: Path, card: str
) -> None:
    """Write an editor's folder in half precision; a finished folder replaces an old one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
        staging = Path(temporary) / target.name
        # diffusers warns of the cast, but names no module for which it is wrong.
        with without_warnings("diffusers.models.modeling_utils"):
            pipeline.to(torch.float16).save_pretrained(staging, safe_serialization=True)
        write_text(staging / "README.md", card)
        shutil.rmtree(target, ignore_errors=True)
        staging.replace(target)
