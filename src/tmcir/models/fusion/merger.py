"""The merger: patches go into the words that they match (equations (2) and (3) of METHOD.md).

Letters used in shapes: N samples, P patch tokens, L text tokens, D joint embedding size, H hidden
size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.composer import MergeMap
from tmcir.models.features import TextFeatures
from tmcir.models.fusion.matching import match
from tmcir.models.fusion.settings import FusionSettings
from tmcir.models.fusion.statistics import SimilarityStatistics
from tmcir.models.fusion.tokens import Tokens

_TEXT, _PATCH, _MERGED = 0, 1, 2
# A patch of which less than this is left has left the sequence.
_NOTHING_LEFT = 1e-6


class Merger(nn.Module):
    """Build the sequence [words, merged or not; patches that no word absorbed].

    Args:
        patches: P.
        text_length: Longest text in content tokens; later ones share the last position.
        settings: Of the fusion.
    """

    def __init__(self, patches: int, text_length: int, settings: FusionSettings) -> None:
        super().__init__()
        self.settings = settings

        hidden = settings.hidden_size
        self.text_positions = _vectors(text_length, hidden) if settings.positions else None
        self.patch_positions = _vectors(patches, hidden) if settings.positions else None
        self.types = _vectors(3, hidden) if settings.types else None
        self.alpha_scale = nn.Parameter(torch.ones(()))  # c1
        self.alpha_offset = nn.Parameter(torch.zeros(()))  # c0
        self.statistics = SimilarityStatistics()

    def forward(self, patches: Tensor, text: TextFeatures) -> tuple[Tokens, MergeMap]:
        """Merge patches [N, P, D] into words; absorbed patches are masked out of the sequence."""
        merge = self.match(patches, text)
        weights = merge.weights.to(patches.dtype)
        absorbed = torch.einsum("npl,npd->nld", weights, patches)
        alpha = merge.alpha.to(patches.dtype)[..., None]
        words = (1 - alpha) * text.tokens + alpha * absorbed  # equation (3)

        left = merge.absorbed < 1 - _NOTHING_LEFT  # [N, P]
        # What is left of a patch is its size; masked first, for log(0) would have no gradient.
        patch_sizes = (-merge.absorbed.masked_fill(~left, 0)).log1p()
        counts = merge.counts
        word_sizes = counts.log1p() if self.settings.sizes else torch.zeros_like(counts)
        tokens = Tokens(
            values=torch.cat([words, patches], dim=1),  # [N, L + P, D]
            places=self._places(merge),
            log_sizes=torch.cat([word_sizes, patch_sizes], dim=1),
            mask=torch.cat([text.mask, left], dim=1),
        )
        return tokens, merge

    def match(self, patches: Tensor, text: TextFeatures) -> MergeMap:
        """Assign patches [N, P, D] to words by equation (2), and weigh them for equation (3).

        In float32 under autocast, too: bfloat16 rounds a cosine to two digits, and thresholds,
        weights and running statistics are made of small differences.
        """
        with torch.autocast(patches.device.type, enabled=False):
            return self._match(patches, text)

    def _match(self, patches: Tensor, text: TextFeatures) -> MergeMap:
        similarity = torch.einsum(
            "npd,nld->npl",
            functional.normalize(patches.float(), dim=-1),
            functional.normalize(text.tokens.float(), dim=-1),
        )
        content = text.mask[:, None, :].expand_as(similarity)
        if self.training and torch.is_grad_enabled():
            self.statistics.collect(similarity, content)
        settings = self.settings
        threshold = (
            self.statistics.theta(similarity, content, settings.kappa)
            if settings.threshold is None
            else similarity.new_full(similarity.shape[:1], settings.threshold)
        )
        return match(
            similarity,
            text.mask,
            threshold,
            self.alpha_scale,
            self.alpha_offset,
            settings.merge_temperature,
            settings.match_temperature,
            settings.merge,
        )

    def _places(self, merge: MergeMap) -> Tensor:
        """Return the position and type vectors of [words; patches], [N, L + P, H]."""
        samples, patches, words = merge.weights.shape
        hidden, dtype = self.settings.hidden_size, self.alpha_scale.dtype
        places = self.alpha_scale.new_zeros(samples, words + patches, hidden)
        merged = merge.merged[..., None].to(dtype)  # [N, L, 1]
        if self.text_positions is not None and self.patch_positions is not None:
            index = torch.arange(words, device=places.device)
            own = self.text_positions[index.clamp(max=len(self.text_positions) - 1)]
            weights = merge.weights.to(dtype)
            moved = own + merged * torch.einsum("npl,ph->nlh", weights, self.patch_positions)
            stayed = self.patch_positions.expand(samples, -1, -1)
            places = places + torch.cat([moved, stayed], dim=1)
        if self.types is not None:
            of_words = self.types[_TEXT].lerp(self.types[_MERGED], merged)  # [N, L, H]
            of_patches = self.types[_PATCH].expand(samples, patches, -1)
            places = places + torch.cat([of_words, of_patches], dim=1)
        return places


def _vectors(count: int, hidden_size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(count, hidden_size) * 0.02)
