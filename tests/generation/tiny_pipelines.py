"""Every pipeline that edits, with a few thousand random weights, built from scratch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    DiffusionPipeline,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SIDE = 32
WIDTH = 16
LATENTS = 4
TEXT_LENGTH = 24
BYTES = sorted(ByteLevel.alphabet())
QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def save_pipeline(name: str, folder: Path) -> Path:
    """Build a pipeline by the name of its class, and save it as its checkpoints are."""
    torch.manual_seed(0)
    pipeline = _BUILDERS[name]()
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            _stir(part)
    pipeline.save_pretrained(folder, safe_serialization=True)
    if name == "QwenImageEditPipeline":
        _save_qwen_processor(folder / "processor")
    edit_index(folder, **_PUBLISHED.get(name, {}))
    return folder


def edit_index(folder: Path, **changes: Any) -> None:
    """Change entries of a pipeline's model_index.json."""
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _stir(part: nn.Module) -> None:
    """Draw weights large enough that what goes in makes a difference to what comes out."""
    for weight in part.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=1.5 * weight[0].numel() ** -0.5)


def _instruct_pix2pix() -> DiffusionPipeline:
    towers = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1}
    vision = {**towers, "num_attention_heads": 2, "image_size": 8, "patch_size": 4}
    return StableDiffusionInstructPix2PixPipeline(
        vae=_autoencoder(),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        unet=_unet(in_channels=2 * LATENTS, cross_attention_dim=WIDTH),
        # Draws noise at every step.
        scheduler=EulerAncestralDiscreteScheduler(),
        safety_checker=StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision)),
        feature_extractor=CLIPImageProcessorPil(size=8, crop_size=8),
    )


def _sdxl() -> DiffusionPipeline:
    return StableDiffusionXLImg2ImgPipeline(
        vae=_autoencoder(),
        text_encoder=_clip(CLIPTextModel),
        text_encoder_2=_clip(CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=_unet(
            in_channels=LATENTS,
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
    )


def _sd3() -> DiffusionPipeline:
    return StableDiffusion3Img2ImgPipeline(
        transformer=SD3Transformer2DModel(
            sample_size=SIDE // 2,
            in_channels=LATENTS,
            out_channels=LATENTS,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=SIDE,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(),
        text_encoder=_clip(CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(2 * WIDTH),
        tokenizer_3=_t5_tokenizer(),
    )


def _flux_kontext() -> DiffusionPipeline:
    return FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(WIDTH),
        tokenizer_2=_t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            in_channels=4 * LATENTS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def _qwen() -> DiffusionPipeline:
    return QwenImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=LATENTS,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.0] * LATENTS,
            latents_std=[1.0] * LATENTS,
        ),
        text_encoder=_qwen_text_encoder(),
        tokenizer=_qwen_tokenizer(),
        processor=None,  # saved apart, see _save_qwen_processor
        transformer=QwenImageTransformer2DModel(
            in_channels=4 * LATENTS,
            out_channels=LATENTS,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
        ),
    )


_BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "StableDiffusionInstructPix2PixPipeline": _instruct_pix2pix,
    "StableDiffusionXLImg2ImgPipeline": _sdxl,
    "StableDiffusion3Img2ImgPipeline": _sd3,
    "FluxKontextPipeline": _flux_kontext,
    "QwenImageEditPipeline": _qwen,
}
PIPELINES = tuple(_BUILDERS)
# The classes that checkpoints on the hub name, where transformers today saves other names.
_PUBLISHED: dict[str, dict[str, tuple[str, str]]] = {
    "StableDiffusionInstructPix2PixPipeline": {
        "feature_extractor": ("transformers", "CLIPImageProcessor")
    },
    "StableDiffusion3Img2ImgPipeline": {"tokenizer_3": ("transformers", "T5TokenizerFast")},
    "FluxKontextPipeline": {"tokenizer_2": ("transformers", "T5TokenizerFast")},
    "QwenImageEditPipeline": {"processor": ("transformers", "Qwen2VLProcessor")},
}


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(8, 8),
        latent_channels=LATENTS,
        norm_num_groups=4,
        sample_size=SIDE,
        scaling_factor=1.0,
        shift_factor=0.1,
    )


def _unet(**settings: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        out_channels=LATENTS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        **settings,
    )


def _clip(model: type[Any]) -> Any:
    tokenizer = _clip_tokenizer()
    return model(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _clip_tokenizer() -> CLIPTokenizer:
    ends = [f"{character}</w>" for character in BYTES]
    tokens = [*BYTES, *ends, "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(_numbered(tokens), [], model_max_length=TEXT_LENGTH)


def _t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(_t5_tokenizer()),
            d_model=width,
            d_kv=8,
            d_ff=WIDTH,
            num_layers=1,
            num_heads=2,
        )
    )


def _t5_tokenizer() -> T5Tokenizer:
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    characters = [(character, -3.0) for character in ("▁", *map(chr, range(33, 127)))]
    return T5Tokenizer(special + characters, extra_ids=0, model_max_length=TEXT_LENGTH)


def _qwen_text_encoder() -> Qwen2_5_VLForConditionalGeneration:
    tokenizer = _qwen_tokenizer()
    number = dict(zip(QWEN_TOKENS, tokenizer.convert_tokens_to_ids(QWEN_TOKENS), strict=True))
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "bos_token_id": None,
        "eos_token_id": number["<|endoftext|>"],
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    }
    vision = {
        "depth": 1,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_heads": 2,
        "patch_size": 4,
        "window_size": 16,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0],
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=number["<|image_pad|>"],
        video_token_id=number["<|video_pad|>"],
        vision_start_token_id=number["<|vision_start|>"],
        vision_end_token_id=number["<|vision_end|>"],
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def _qwen_tokenizer() -> Qwen2Tokenizer:
    special = list(QWEN_TOKENS[1:])
    return Qwen2Tokenizer(_numbered([*BYTES, *QWEN_TOKENS]), [], additional_special_tokens=special)


def _save_qwen_processor(folder: Path) -> None:
    """Write the processor's parts: as a whole it cannot be built without torchvision."""
    images = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, min_pixels=8 * 8, max_pixels=SIDE * SIDE
    )
    images.save_pretrained(folder)
    _qwen_tokenizer().save_pretrained(folder)


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}
