"""The README of an editor's folder."""

from __future__ import annotations

from tmcir.generation.recipe import EditorRecipe

_TEMPLATE = """---
library_name: diffusers
tags: [composed-image-retrieval, instruct-pix2pix]
---

# {name}: an image editor for pseudo-targets

{description}. An InstructPix2Pix of {size} x {size} pixels, of the class
`StableDiffusionInstructPix2PixPipeline`, that edits a photo as a modification text asks. Its
pictures are training data for retrieval and not meant to be looked at.

## Training

| | |
| --- | --- |
| recipe | `tmcir train-editor {name}` |
| data | {dataset}, training split only |
| seed | {seed} |
| latents | {channels} principal components of patches of {patch} x {patch} pixels |
| denoiser | {denoiser_steps:,} steps of {denoiser_batch} edits |
| started from | {start} |
| text tower | that of the model {tower} |

## Use

    tmcir generate RECIPE editor.source=THIS_FOLDER

or with diffusers, where tmcir is installed:

    import tmcir.generation.autoencoder  # diffusers imports nobody's classes by itself
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        THIS_FOLDER, safety_checker=None, dtype=torch.float32
    )
    pipeline(texts, image=images, num_inference_steps=6, guidance_scale=4, image_guidance_scale=3)

## Limits

It knows the kinds of thing and the texts that it was trained on. A small tower
reads the texts and does not understand words that no training text has.
"""


def editor_card(recipe: EditorRecipe) -> str:
    """Return the card of an editor that ``recipe`` trained."""
    return _TEMPLATE.format(
        name=recipe.name,
        description=recipe.description.rstrip("."),
        size=recipe.image_size,
        dataset=recipe.dataset.name,
        seed=recipe.seed,
        channels=recipe.autoencoder.latent_channels,
        patch=recipe.autoencoder.patch_size,
        denoiser_steps=recipe.denoiser.steps,
        denoiser_batch=recipe.denoiser.batch_size,
        tower=recipe.text_tower,
        start=recipe.start or "random weights",
    )
