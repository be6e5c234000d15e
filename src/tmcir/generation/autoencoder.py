"""The autoencoder of our own editor: principal components of patches, a diffusers component.

Letters used in shapes: N images, P patch side, S image side, C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

# diffusers looks up ModelMixin in this module when it loads a pipeline that has our class.
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional

_FIT_IMAGES = 2048


@dataclass(frozen=True, slots=True)
class Encoded:
    """What ``encode`` returns: latents, float [N, C, S / P, S / P]."""

    latents: Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """What ``decode`` returns: pixels, float [N, 3, S, S] in [-1, 1]."""

    sample: Tensor


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Pixels to latents and back by the principal components of square patches.

    A learned autoencoder needs hours of training before it separates hues. The principal components
    of small patches keep colours and edges without training, and at 64 pixels they lose less than
    diffusion does.
    Each latent channel is divided by a power of its deviation: with power 0 brightness dominates
    the latents as it dominates the pixels; with power 1 all channels have deviation 1, and fine
    texture counts as much as colour.

    Args:
        patch_size: P, a power of two.
        latent_channels: C, at most 3 * P * P.
        scaling_factor: Factor that scales the latents to standard deviation 1 over all channels.
        block_out_channels: One number more than there are halvings of the side, from which
            pipelines compute P.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        patch_size: int = 4,
        latent_channels: int = 16,
        scaling_factor: float = 1.0,
        block_out_channels: tuple[int, ...] = (48, 48, 48),
    ) -> None:
        super().__init__()
        size = 3 * patch_size**2
        # Parameters, so that a pipeline's dtype and device reach them.
        self.mean = torch.nn.Parameter(torch.zeros(size), requires_grad=False)
        self.encoding = torch.nn.Parameter(torch.zeros(size, latent_channels), requires_grad=False)
        self.decoding = torch.nn.Parameter(torch.zeros(latent_channels, size), requires_grad=False)

    @classmethod
    def fit(
        cls, images: Tensor, patch_size: int, latent_channels: int, whitening: float
    ) -> PatchAutoencoder:
        """Find the components of photos.

        Args:
            images: uint8 [N, 3, S, S]; of more than 4,095, evenly spaced ones are used, 2,048 or
                more.
            patch_size: P.
            latent_channels: C.
            whitening: Power of the deviation by which a channel is divided, in [0, 1].
        """
        chosen = images[:: max(1, len(images) // _FIT_IMAGES)]
        patches = _to_patches(to_pixels(chosen), patch_size).flatten(0, 2)  # [N * patches, 3 P P]
        mean = patches.mean(dim=0)
        variances, vectors = torch.linalg.eigh(torch.cov(patches.T))  # in rising order
        basis = vectors.flip(1)[:, :latent_channels]
        deviations = variances.flip(0)[:latent_channels].clamp(min=1e-8).sqrt()
        scale = deviations**whitening
        overall = (deviations / scale).square().mean().sqrt().item()
        model: PatchAutoencoder = cls(
            patch_size,
            latent_channels,
            scaling_factor=1 / overall,
            block_out_channels=(latent_channels,) * patch_size.bit_length(),
        )
        model.mean.copy_(mean)
        model.encoding.copy_(basis / scale)
        model.decoding.copy_((basis * scale).T)
        return model

    def encode(self, pixels: Tensor) -> Encoded:
        """Encode float [N, 3, S, S] in [-1, 1]; P divides S."""
        patches = _to_patches(pixels, self.config.patch_size)
        latents = (patches - self.mean) @ self.encoding  # [N, S / P, S / P, C]
        return Encoded(latents.permute(0, 3, 1, 2).contiguous())

    def decode(self, latents: Tensor, return_dict: bool = True) -> Decoded | tuple[Tensor]:
        """Decode float [N, C, S / P, S / P]; a tuple or an object, as diffusers asks."""
        patches = latents.permute(0, 2, 3, 1) @ self.decoding + self.mean
        channels = patches.permute(0, 3, 1, 2)  # [N, 3 P P, S / P, S / P]
        pixels = functional.pixel_shuffle(channels, self.config.patch_size)
        return Decoded(pixels) if return_dict else (pixels,)


def to_pixels(images: Tensor) -> Tensor:
    """Scale uint8 [N, 3, S, S] to float in [-1, 1], as diffusers' image processor does."""
    return images.float() / 127.5 - 1


@torch.inference_mode()
def encode_all(autoencoder: PatchAutoencoder, images: Tensor, batch_size: int) -> Tensor:
    """Encode every image and its mirror image.

    Args:
        autoencoder: Fitted.
        images: uint8 [N, 3, S, S].
        batch_size: Images encoded at once.

    Returns:
        float32 [2, N, C, S / P, S / P] on the CPU.
    """
    parts = []
    for start in range(0, len(images), batch_size):
        pixels = to_pixels(images[start : start + batch_size])
        both = torch.cat([pixels, pixels.flip(-1)])
        parts.append(autoencoder.encode(both).latents.unflatten(0, (2, -1)))
    return torch.cat(parts, dim=1)


def _to_patches(pixels: Tensor, patch_size: int) -> Tensor:
    """Cut float [N, 3, S, S] into [N, S / P, S / P, 3 P P]."""
    return functional.pixel_unshuffle(pixels, patch_size).permute(0, 2, 3, 1)
