"""Adaptive token fusion: merge similar image and text tokens, then read one query embedding.

Implements METHOD.md section 4 (TMCIR, arXiv 2504.10995). Letters used in shapes: N samples,
P patch tokens, L text tokens, T tokens of the fused sequence, D joint embedding size, H hidden
size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.composer import Composer, Composition, MergeMap
from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.models.matching import match

if TYPE_CHECKING:
    from tmcir.models.encoder import Encoder

Gate = Literal["channel", "scalar", "none"]
"""How finely the gate weighs the pooled embeddings."""

_TEXT, _PATCH, _MERGED = 0, 1, 2
# A patch of which less than this is left has left the sequence.
_NOTHING_LEFT = 1e-6
# Samples are read in so many groups of like length, of so many at least.
_GROUPS, _IN_A_GROUP = 4, 8


@dataclass(frozen=True, slots=True)
class _Tokens:
    """A padded sequence: values [N, T, D], places [N, T, H]; log_sizes and mask [N, T].

    ``places`` holds what tells a token's position and type, ``log_sizes`` its attention bias.
    """

    values: Tensor
    places: Tensor
    log_sizes: Tensor
    mask: Tensor

    def select(self, rows: Tensor) -> _Tokens:
        """Return the samples at ``rows``, long [M]."""
        return _Tokens(self.values[rows], self.places[rows], self.log_sizes[rows], self.mask[rows])


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

    def forward(self, tokens: Tensor, key_bias: Tensor, wanted: int | None = None) -> Tensor:
        """Return tokens after attention and MLP.

        Args:
            tokens: float [N, T, H].
            key_bias: float [N, 1, 1, T].
            wanted: How many of the first tokens are needed; None: all. Keys and values are still
                those of all tokens, but nothing else is computed of the rest.

        Returns:
            float [N, T, H], or [N, wanted, H].
        """
        samples, length, hidden = tokens.shape
        normed = self.attention_norm(tokens)
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query = functional.linear(normed[:, :wanted], weight[:hidden], bias[:hidden])
        key_value = functional.linear(normed, weight[hidden:], bias[hidden:])  # [N, T, 2H]
        key, value = (
            key_value.view(samples, length, 2, self.heads, hidden // self.heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )  # each [N, heads, T, H / heads]
        query = query.view(samples, -1, self.heads, hidden // self.heads).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=key_bias.to(query.dtype)
        )
        joined = attended.transpose(1, 2).reshape(samples, -1, hidden)  # [N, T or wanted, H]
        tokens = tokens[:, :wanted] + self.attention_output(joined)
        output: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return output


class AdaptiveTokenFusion(Composer):
    """Compose a query embedding from the tokens of an image and of a text.

    Similar patch and text tokens are merged (equations 2 and 3), the rest stay as they are, and a
    small transformer reads the shortened sequence. Untrained, the query is exactly the normalised
    sum of the two pooled embeddings: the output projection W starts at zero, the gate at (1, 1).
    The settings from ``merge`` on take single parts of the method away, to measure what they bring.

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
        threshold: A fixed theta in place of the one by ``kappa``.
        match_temperature: tau_s of soft matching, where a word absorbs a part of each of its
            patches and none leaves the sequence; None matches hard.
        positions: False leaves out the position vectors.
        types: False leaves out the vectors that tell text, patch and merged tokens apart.
        sizes: False leaves out proportional attention: a merged token counts as one.
        gate: ``channel`` weighs image and text in every channel, ``scalar`` with one pair of
            weights as METHOD.md does, ``none`` fixes both at 1.
        pooled_norm: False gives gate and query token the pooled embeddings as they are, whose
            entries are small, in place of their layer norm.
        statistics_momentum: Share of a training step in the running mean and std.
    """

    title = "TMCIR (https://arxiv.org/abs/2504.10995)"

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
        threshold: float | None = None,
        match_temperature: float | None = None,
        positions: bool = True,
        types: bool = True,
        sizes: bool = True,
        gate: Gate = "channel",
        pooled_norm: bool = True,
        statistics_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.kappa = kappa
        self.merge_temperature = merge_temperature
        self.merge = merge
        self.threshold = threshold
        self.match_temperature = match_temperature
        self.sizes = sizes
        self.statistics_momentum = statistics_momentum

        def vectors(count: int, wanted: bool = True) -> nn.Parameter | None:
            return nn.Parameter(torch.randn(count, hidden_size) * 0.02) if wanted else None

        self.token_norm = nn.LayerNorm(embedding_size)
        self.token_input = nn.Linear(embedding_size, hidden_size)
        self.pooled_input = nn.Linear(2 * embedding_size, hidden_size)
        self.query_token = nn.Parameter(torch.randn(hidden_size) * 0.02)
        self.text_positions = vectors(text_length, positions)
        self.patch_positions = vectors(patches, positions)
        self.types = vectors(3, types)
        self.alpha_scale = nn.Parameter(torch.ones(()))  # c1
        self.alpha_offset = nn.Parameter(torch.zeros(()))  # c0
        self.layers = nn.ModuleList(FusionLayer(hidden_size, heads) for _ in range(layers))
        self.output_norm = nn.LayerNorm(hidden_size)
        self.output = nn.Linear(hidden_size, embedding_size, bias=False)  # W
        nn.init.zeros_(self.output.weight)
        self.gate: nn.Module | None = None
        if gate != "none":
            outputs = 2 * embedding_size if gate == "channel" else 2
            self.gate = _gate(embedding_size, hidden_size, outputs)
        self.pooled_norm = nn.LayerNorm(2 * embedding_size) if pooled_norm else nn.Identity()

        self.register_buffer("similarity_mean", torch.zeros(()))
        self.register_buffer("similarity_square", torch.zeros(()))
        self.register_buffer("statistics_steps", torch.zeros((), dtype=torch.long))
        # Sum, sum of squares and count since the last update; float64, not part of a checkpoint.
        self.register_buffer("_pending", torch.zeros(3, dtype=torch.float64), persistent=False)

    @classmethod
    def for_encoder(cls, encoder: Encoder, **settings: Any) -> Self:
        """Build the fusion for these towers."""
        return cls(encoder.embedding_size, encoder.patches, encoder.text_length, **settings)

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: Encoder | None = None
    ) -> Composition:
        """Compose N queries.

        Args:
            image: Features of N reference images.
            text: Features of N modification texts. A text without content tokens is allowed.
            encoder: Not used.

        Returns:
            The queries and the fusion's account of itself.
        """
        pooled = torch.cat([image.pooled, text.pooled], dim=-1)  # [N, 2D]
        merge_map = self.match(image.tokens, text)
        tokens = self._merge(image.tokens, text, merge_map)
        pooled = self.pooled_norm(pooled)
        lengths = tokens.mask.sum(dim=1)
        if image.tokens.requires_grad:
            # Towers that are trained take most of the time, and more calls cost more than padding.
            read = self._read(pooled, self._drop_absorbed(tokens))
        else:
            read = self._read_by_length(pooled, tokens, lengths)
        gate = image.pooled.new_ones(len(pooled), 2, 1)
        if self.gate is not None:
            logits = self.gate(pooled).float().unflatten(-1, (2, -1))  # [N, 2, 1 or D]
            gate = 2 * functional.softmax(logits, dim=1)
        query = gate[:, 0] * image.pooled + gate[:, 1] * text.pooled + self.output(read)
        return Composition(
            query=functional.normalize(query.float(), dim=-1),
            gate=gate.mean(dim=-1),
            merge=merge_map,
            lengths=lengths + 1,
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
        return match(
            similarity,
            text.mask,
            self._theta(similarity, content),
            self.alpha_scale,
            self.alpha_offset,
            self.merge_temperature,
            self.match_temperature,
            self.merge,
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

    def _theta(self, similarity: Tensor, content: Tensor) -> Tensor:
        """Return theta per sample, float [N].

        From the running statistics once there are any; before, from the sample's own
        similarities, so that a result never depends on what else is in the batch.
        """
        if self.threshold is not None:
            return similarity.new_full(similarity.shape[:1], self.threshold)
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
        weights = merge.weights.to(patches.dtype)
        absorbed = torch.einsum("npl,npd->nld", weights, patches)
        alpha = merge.alpha.to(patches.dtype)[..., None]
        words = (1 - alpha) * text.tokens + alpha * absorbed  # equation (3)

        left = merge.absorbed < 1 - _NOTHING_LEFT  # [N, P]
        # What is left of a patch is its size; masked first, for log(0) would have no gradient.
        patch_sizes = (-merge.absorbed.masked_fill(~left, 0)).log1p()
        word_sizes = merge.counts.log1p() if self.sizes else torch.zeros_like(merge.counts)
        return _Tokens(
            values=torch.cat([words, patches], dim=1),  # [N, L + P, D]
            places=self._places(merge),
            log_sizes=torch.cat([word_sizes, patch_sizes], dim=1),
            mask=torch.cat([text.mask, left], dim=1),
        )

    def _places(self, merge: MergeMap) -> Tensor:
        """Return what tells positions and types of [words; patches] apart, [N, L + P, H]."""
        samples, patches, words = merge.weights.shape
        places = self.query_token.new_zeros(samples, words + patches, len(self.query_token))
        merged = merge.merged[..., None].to(places.dtype)  # [N, L, 1]
        if self.text_positions is not None and self.patch_positions is not None:
            index = torch.arange(words, device=places.device)
            own = self.text_positions[index.clamp(max=len(self.text_positions) - 1)]
            weights = merge.weights.to(places.dtype)
            moved = own + merged * torch.einsum("npl,ph->nlh", weights, self.patch_positions)
            stayed = self.patch_positions.expand(samples, -1, -1)
            places = places + torch.cat([moved, stayed], dim=1)
        if self.types is not None:
            of_words = self.types[_TEXT].lerp(self.types[_MERGED], merged)  # [N, L, H]
            of_patches = self.types[_PATCH].expand(samples, patches, -1)
            places = places + torch.cat([of_words, of_patches], dim=1)
        return places

    @staticmethod
    def _drop_absorbed(tokens: _Tokens) -> _Tokens:
        """Move kept tokens to the front, in order, and cut to the longest sample of the batch."""
        kept = int(tokens.mask.sum(dim=1).max())
        order = (~tokens.mask).to(torch.int8).argsort(dim=1, stable=True)[:, :kept]  # [N, T]

        def pick(values: Tensor) -> Tensor:
            return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))

        return _Tokens(
            values=pick(tokens.values),
            places=pick(tokens.places),
            log_sizes=tokens.log_sizes.gather(1, order),
            mask=tokens.mask.gather(1, order),
        )

    def _read_by_length(self, pooled: Tensor, tokens: _Tokens, lengths: Tensor) -> Tensor:
        """Return ``_read`` of samples that are grouped by their length, for less padding.

        One sample that merges nothing would make all others of its batch as long as itself.
        """
        samples = len(pooled)
        groups = min(_GROUPS, samples // _IN_A_GROUP)
        if groups < 2:
            return self._read(pooled, self._drop_absorbed(tokens))
        order = lengths.argsort()
        parts = [
            self._read(pooled[rows], self._drop_absorbed(tokens.select(rows)))
            for rows in order.chunk(groups)
        ]
        joined = torch.cat(parts)  # [N, H], in that order
        return torch.empty_like(joined).index_copy_(0, order, joined)

    def _read(self, pooled: Tensor, tokens: _Tokens) -> Tensor:
        """Run the layers over [query token; tokens]; return the query token's state o, [N, H]."""
        hidden = self.token_input(self.token_norm(tokens.values)) + tokens.places
        query = (self.query_token + self.pooled_input(pooled))[:, None]  # [N, 1, H]
        sequence = torch.cat([query, hidden], dim=1)  # [N, 1 + T, H]

        # Proportional attention, and -inf at padding; the query token has size 1.
        bias = tokens.log_sizes.masked_fill(~tokens.mask, -math.inf)
        bias = functional.pad(bias, (1, 0))[:, None, None, :]  # [N, 1, 1, 1 + T]
        *first, last = self.layers
        for layer in first:
            sequence = layer(sequence, bias)
        read: Tensor = self.output_norm(last(sequence, bias, wanted=1)[:, 0])
        return read


def _gate(embedding_size: int, hidden_size: int, outputs: int) -> nn.Sequential:
    """Return the MLP of the gate; it starts at zero everywhere, whose softmax is even."""
    hidden, output = nn.Linear(2 * embedding_size, hidden_size), nn.Linear(hidden_size, outputs)
    nn.init.zeros_(output.weight)
    nn.init.zeros_(output.bias)
    return nn.Sequential(hidden, nn.GELU(), output)
