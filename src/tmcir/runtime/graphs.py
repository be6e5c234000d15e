"""The exported graphs: three modules with plain tensors as inputs and outputs.

Letters used in shapes: N samples, P patch tokens, L text tokens, T tokens with special ones, D
joint embedding size, S image side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tmcir.models.balance import balanced
from tmcir.models.composer import Composition
from tmcir.models.features import ImageFeatures, TextFeatures, TextTokens
from tmcir.models.tmcir import TMCIR

Outputs = dict[str, Tensor]


class ImageGraph(nn.Module):
    """Pixels to the features that search and composition read; normalisation is in it."""

    def __init__(self, model: TMCIR) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Outputs:
        """Encode uint8 [N, 3, S, S]."""
        encoder = self.model.encoder
        features = encoder.image_features(encoder.preprocessor.normalise(pixels))
        outputs = {"pooled": features.pooled}
        if self.model.composer.reads_tokens:
            outputs["tokens"] = features.tokens
        if features.norms is not None:
            outputs["norms"] = features.norms
        return outputs


class TextGraph(nn.Module):
    """Token ids to the features that search and composition read."""

    def __init__(self, model: TMCIR) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> Outputs:
        """Encode ids, long [N, T], right-padded, of texts of ``lengths``, long [N]."""
        features = self.model.encoder.text_features(TextTokens(ids, lengths))
        outputs = {"pooled": features.pooled, "mask": features.mask}
        if self.model.composer.reads_tokens:
            outputs["tokens"] = features.tokens
        if features.norms is not None:
            outputs["norms"] = features.norms
        return outputs


class FusionGraph(nn.Module):
    """Features of images and texts to queries, as ``TMCIR.fuse``, and how they came about."""

    def __init__(self, model: TMCIR) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        image_pooled: Tensor,
        text_pooled: Tensor,
        text_mask: Tensor,
        shift: Tensor,
        image_tokens: Tensor | None = None,
        text_tokens: Tensor | None = None,
        image_norms: Tensor | None = None,
        text_norms: Tensor | None = None,
    ) -> Outputs:
        """Compose N queries.

        Args:
            image_pooled: float [N, D].
            text_pooled: float [N, D].
            text_mask: bool [N, L].
            shift: float [N], in [-1, 1].
            image_tokens: float [N, P, D], where the method reads tokens.
            text_tokens: float [N, L, D], where the method reads tokens.
            image_norms: float [N], where the encoder was trained on raw sums.
            text_norms: float [N], where the encoder was trained on raw sums.
        """
        none = image_pooled.new_zeros(image_pooled.shape[0], 0, image_pooled.shape[1])
        image = ImageFeatures(
            image_pooled, none if image_tokens is None else image_tokens, image_norms
        )
        text = TextFeatures(
            pooled=text_pooled,
            tokens=none if text_tokens is None else text_tokens,
            mask=text_mask,
            norms=text_norms,
        )
        output = self.model.forward(image, text)
        query = output.query.where(text_mask.any(dim=1, keepdim=True), image_pooled)
        query = balanced(query, image_pooled, text_pooled, shift)
        return {"query": query, **_account(output)}


def _account(output: Composition) -> Outputs:
    """Return what ``explain`` reads of a composition."""
    found: Outputs = {}
    if output.gate is not None:
        found["gate"] = output.gate
    if output.without_tokens is not None:
        found["without_tokens"] = output.without_tokens
    if output.merge is not None:
        found["assignment"] = output.merge.assignment
        found["weights"] = output.merge.weights
        found["alpha"] = output.merge.alpha
        found["matched_share"] = output.merge.matched_share
        found["threshold"] = output.merge.threshold
    return found


def example_features(model: TMCIR, samples: int, words: int) -> dict[str, Tensor]:
    """Return random inputs of a ``FusionGraph``, of ``samples`` texts of ``words`` tokens."""
    size, generator = model.embedding_size, torch.Generator().manual_seed(0)
    raw = getattr(model.encoder, "raw_sum", False)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    inputs = {
        "image_pooled": nn.functional.normalize(draw(samples, size), dim=-1),
        "text_pooled": nn.functional.normalize(draw(samples, size), dim=-1),
        "text_mask": torch.arange(words).expand(samples, words) < words - 1,
        "shift": torch.zeros(samples),
    }
    if model.composer.reads_tokens:
        inputs["image_tokens"] = draw(samples, model.encoder.image_tokens, size)
        inputs["text_tokens"] = draw(samples, words, size)
    if raw:
        inputs["image_norms"] = draw(samples).abs() + 1
        inputs["text_norms"] = draw(samples).abs() + 1
    return inputs
