"""Adaptive token fusion: merge similar image and text tokens, then read one query embedding.

Implements METHOD.md section 4 (TMCIR, arXiv 2504.10995). Letters used in shapes: N samples,
P patch tokens, L text tokens, T tokens of the fused sequence, D joint embedding size, H hidden
size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.features import ImageFeatures, TextFeatures

_TEXT, _PATCH, _MERGED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class MergeMap:
    """Which patch went into which word (equations 2 and 3).

    Attributes:
        similarity: float [N, P, L], S_ij, cosine of patch i and text token j; -1 at padding.
        assignment: long [N, P], the text token that absorbed a patch, -1 where it stays itself.
        weights: float [N, P, L], w_ij; every column with a match sums to 1, others are 0.
        alpha: float [N, L], share of the image in a merged token; 0 where nothing matched.
        threshold: float [N], theta.
    """

    similarity: Tensor
    assignment: Tensor
    weights: Tensor
    alpha: Tensor
    threshold: Tensor

    @property
    def matched_share(self) -> Tensor:
        """Share of patches that a word absorbed, float [N]."""
        return (self.assignment >= 0).float().mean(dim=1)


@dataclass(frozen=True, slots=True)
class FusionOutput:
    """What a fusion says of N queries.

    Attributes:
        query: float [N, D], L2-normalised.
        gate: float [N, 2], (g_v, g_t): how much of the pooled image and text embedding is in it.
        merge: The merge map.
        sequence_length: T, tokens that the layers read, query token included.
    """

    query: Tensor
    gate: Tensor
    merge: MergeMap
    sequence_length: int


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A padded sequence: values [N, T, D], positions [N, T, H]; types, sizes and mask [N, T]."""

    values: Tensor
    positions: Tensor
    types: Tensor
    sizes: Tensor
    mask: Tensor


class FusionLayer(nn.Module):
    """A pre-norm transformer layer whose attention takes a bias per key.

    The bias carries the proportional attention of ToMe (arXiv 2210.09461): log of a token's size.
    """

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.mlp_norm = nn.LayerNorm(hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size),
            nn.GELU(),
            nn.Linear(4 * hidden_size, hidden_size),
        )

    def forward(self, tokens: Tensor, key_bias: Tensor) -> Tensor:
        """Return tokens [N, T, H] after attention and MLP; ``key_bias`` is float [N, 1, 1, T]."""
        samples, length, hidden = tokens.shape
        projected = self.query_key_value(self.attention_norm(tokens))
        query, key, value = (
            projected.view(samples, length, 3, self.heads, hidden // self.heads)
            .permute(2, 0, 3, 1, 4)  # [3, N, heads, T, H / heads]
            .unbind(0)
        )
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=key_bias.to(query.dtype)
        )
        joined = attended.transpose(1, 2).reshape(samples, length, hidden)  # [N, T, H]
        tokens = tokens + self.attention_output(joined)
        output: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return output


class AdaptiveTokenFusion(nn.Module):
    """Compose a query embedding from the tokens of an image and of a text.

    Similar patch and text tokens are merged (equations 2 and 3), the rest stay as they are, and a
    small transformer reads the shortened sequence. Untrained, the query is exactly the normalised
    sum of the two pooled embeddings: the output projection W starts at zero, the gate at (1, 1).

    Args:
        embedding_size: D, size of CLIP's joint space.
        patches: P, patch tokens of an image.
        text_length: Longest text in content tokens; later ones share the last position.
        hidden_size: H, width of the fusion layers.
        layers: Number of fusion layers.
        heads: Attention heads; must divide ``hidden_size``.
        kappa: theta = mean + kappa * std of the patch-word similarities.
        merge_temperature: tau_m of equation (3).
        merge: False keeps every token: the same transformer without its merge.
        statistics_momentum: Share of a training step in the running mean and std.
    """

    similarity_mean: Tensor
    similarity_square: Tensor
    statistics_steps: Tensor
    _pending: Tensor

    def __init__(
        self,
        embedding_size: int,
        patches: int,
        text_length: int,
        hidden_size: int = 256,
        layers: int = 2,
        heads: int = 4,
        kappa: float = 1.0,
        merge_temperature: float = 0.1,
        merge: bool = True,
        statistics_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.kappa = kappa
        self.merge_temperature = merge_temperature
        self.merge = merge
        self.statistics_momentum = statistics_momentum

        self.token_norm = nn.LayerNorm(embedding_size)
        self.token_input = nn.Linear(embedding_size, hidden_size)
        self.pooled_input = nn.Linear(2 * embedding_size, hidden_size)
        self.query_token = nn.Parameter(torch.randn(hidden_size) * 0.02)
        self.text_positions = nn.Parameter(torch.randn(text_length, hidden_size) * 0.02)
        self.patch_positions = nn.Parameter(torch.randn(patches, hidden_size) * 0.02)
        self.types = nn.Parameter(torch.randn(3, hidden_size) * 0.02)
        self.alpha_scale = nn.Parameter(torch.ones(()))  # c1
        self.alpha_offset = nn.Parameter(torch.zeros(()))  # c0
        self.layers = nn.ModuleList(FusionLayer(hidden_size, heads) for _ in range(layers))
        self.output_norm = nn.LayerNorm(hidden_size)
        self.output = nn.Linear(hidden_size, embedding_size, bias=False)  # W
        self.gate = nn.Sequential(
            nn.Linear(2 * embedding_size, hidden_size), nn.GELU(), nn.Linear(hidden_size, 2)
        )
        gate_output = self.gate[-1]
        assert isinstance(gate_output, nn.Linear)
        for start_at_zero in (self.output.weight, gate_output.weight, gate_output.bias):
            nn.init.zeros_(start_at_zero)

        self.register_buffer("similarity_mean", torch.zeros(()))
        self.register_buffer("similarity_square", torch.zeros(()))
        self.register_buffer("statistics_steps", torch.zeros((), dtype=torch.long))
        # Sum, sum of squares and count since the last update; float64, not part of a checkpoint.
        self.register_buffer("_pending", torch.zeros(3, dtype=torch.float64), persistent=False)

    def forward(self, image: ImageFeatures, text: TextFeatures) -> FusionOutput:
        """Compose N queries.

        Args:
            image: Features of N reference images.
            text: Features of N modification texts. A text without content tokens is allowed.

        Returns:
            The queries and the fusion's account of itself.
        """
        pooled = torch.cat([image.pooled, text.pooled], dim=-1)  # [N, 2D]
        merge_map = self.match(image.tokens, text)
        tokens = self._drop_absorbed(self._merge(image.tokens, text, merge_map))
        read = self._read(pooled, tokens)
        gate = 2 * functional.softmax(self.gate(pooled).float(), dim=-1)
        query = gate[:, :1] * image.pooled + gate[:, 1:] * text.pooled + self.output(read)
        return FusionOutput(
            query=functional.normalize(query.float(), dim=-1),
            gate=gate,
            merge=merge_map,
            sequence_length=tokens.mask.shape[1] + 1,
        )

    def match(self, patches: Tensor, text: TextFeatures) -> MergeMap:
        """Assign patches [N, P, D] to words by equation (2), and weigh them for equation (3)."""
        similarity = torch.einsum(
            "npd,nld->npl",
            functional.normalize(patches.float(), dim=-1),
            functional.normalize(text.tokens.float(), dim=-1),
        )
        content = text.mask[:, None, :].expand_as(similarity)
        if self.training and torch.is_grad_enabled():
            self._collect(similarity.detach(), content)
        threshold = self._threshold(similarity, content)
        similarity = similarity.masked_fill(~content, -1.0)

        best, word = similarity.max(dim=-1)  # [N, P]
        matched = (best >= threshold[:, None]) & text.mask.any(dim=1, keepdim=True)
        if not self.merge:
            matched = torch.zeros_like(matched)
        chosen = functional.one_hot(word, similarity.shape[-1]).bool() & matched[..., None]
        # A finite floor instead of -inf: a word without matches must not make 0 / 0.
        logits = (similarity / self.merge_temperature).masked_fill(~chosen, -1e9)
        weights = functional.softmax(logits, dim=1) * chosen
        strongest = similarity.masked_fill(~chosen, -1.0).amax(dim=1)  # [N, L]
        alpha = torch.sigmoid(self.alpha_scale * strongest + self.alpha_offset)
        return MergeMap(
            similarity=similarity,
            assignment=word.masked_fill(~matched, -1),
            weights=weights,
            alpha=alpha * chosen.any(dim=1),
            threshold=threshold,
        )

    def update_statistics(self) -> None:
        """Fold what was seen since the last call into the running mean and std of S.

        Called once an optimiser step, so that theta is one number within a step however the
        batch is split into micro-batches. Sums over processes where there are several.
        """
        pending = self._pending
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(pending)
        total, squares, count = pending.unbind()
        if count > 0:
            first = self.statistics_steps == 0
            momentum = 1.0 if first else self.statistics_momentum
            self.similarity_mean.lerp_((total / count).to(self.similarity_mean), momentum)
            self.similarity_square.lerp_((squares / count).to(self.similarity_mean), momentum)
            self.statistics_steps += 1
        pending.zero_()

    def _collect(self, similarity: Tensor, content: Tensor) -> None:
        values = similarity.double() * content
        seen = torch.stack([values.sum(), values.square().sum(), content.sum().double()])
        self._pending += seen

    def _threshold(self, similarity: Tensor, content: Tensor) -> Tensor:
        """Return theta per sample, float [N].

        From the running statistics once there are any; before, from the sample's own
        similarities, so that a result never depends on what else is in the batch.
        """
        if self.statistics_steps > 0:
            mean, square = self.similarity_mean, self.similarity_square
            theta = mean + self.kappa * (square - mean**2).clamp(min=0).sqrt()
            return theta.expand(similarity.shape[0])
        values = similarity.detach() * content
        count = content.sum(dim=(1, 2)).clamp(min=1)
        mean = values.sum(dim=(1, 2)) / count
        variance = (values.square().sum(dim=(1, 2)) / count - mean**2).clamp(min=0)
        return mean + self.kappa * variance.sqrt()

    def _merge(self, patches: Tensor, text: TextFeatures, merge: MergeMap) -> _Tokens:
        """Build the sequence [words, merged or not; patches], absorbed patches masked out."""
        samples, length = text.mask.shape
        patch_count = patches.shape[1]
        weights = merge.weights.to(patches.dtype)
        absorbed = torch.einsum("npl,npd->nld", weights, patches)
        alpha = merge.alpha.to(patches.dtype)[..., None]
        words = (1 - alpha) * text.tokens + alpha * absorbed  # equation (3)

        index = torch.arange(length, device=patches.device)
        word_positions = self.text_positions[index.clamp(max=len(self.text_positions) - 1)]
        word_positions = word_positions + torch.einsum("npl,ph->nlh", weights, self.patch_positions)
        patch_positions = self.patch_positions.expand(samples, -1, -1)

        matched = merge.assignment >= 0  # [N, P]
        counts = torch.zeros_like(text.mask, dtype=torch.long).scatter_add_(
            1, merge.assignment.clamp(min=0), matched.long()
        )  # [N, L]
        word_types = torch.where(counts > 0, _MERGED, _TEXT)
        patch_types = torch.full((samples, patch_count), _PATCH, device=patches.device)
        return _Tokens(
            values=torch.cat([words, patches], dim=1),  # [N, L + P, D]
            positions=torch.cat([word_positions, patch_positions], dim=1),
            types=torch.cat([word_types, patch_types], dim=1),
            sizes=torch.cat([1 + counts, torch.ones_like(patch_types)], dim=1),
            mask=torch.cat([text.mask, ~matched], dim=1),
        )

    @staticmethod
    def _drop_absorbed(tokens: _Tokens) -> _Tokens:
        """Move kept tokens to the front, in order, and cut to the longest sample of the batch."""
        kept = int(tokens.mask.sum(dim=1).max())
        order = (~tokens.mask).to(torch.int8).argsort(dim=1, stable=True)[:, :kept]  # [N, T]

        def pick(values: Tensor) -> Tensor:
            return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))

        return _Tokens(
            values=pick(tokens.values),
            positions=pick(tokens.positions),
            types=tokens.types.gather(1, order),
            sizes=tokens.sizes.gather(1, order),
            mask=tokens.mask.gather(1, order),
        )

    def _read(self, pooled: Tensor, tokens: _Tokens) -> Tensor:
        """Run the layers over [query token; tokens]; return the query token's state o, [N, H]."""
        hidden = self.token_input(self.token_norm(tokens.values))
        hidden = hidden + tokens.positions + self.types[tokens.types]
        query = (self.query_token + self.pooled_input(pooled))[:, None]  # [N, 1, H]
        sequence = torch.cat([query, hidden], dim=1)  # [N, 1 + T, H]

        # Proportional attention, and -inf at padding; the query token has size 1.
        bias = tokens.sizes.to(torch.float32).log().masked_fill(~tokens.mask, -math.inf)
        bias = functional.pad(bias, (1, 0))[:, None, None, :]  # [N, 1, 1, 1 + T]
        for layer in self.layers:
            sequence = layer(sequence, bias)
        read: Tensor = self.output_norm(sequence[:, 0])
        return read
