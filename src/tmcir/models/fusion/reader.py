"""The reader: a small transformer whose query token reads the merged sequence.

Letters used in shapes: N samples, T tokens of the sequence, D joint embedding size, H hidden size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tmcir.models.fusion.settings import FusionSettings
from tmcir.models.fusion.tokens import Tokens

# Samples are read in at most this many groups of similar length, each of at least this size.
_MAX_GROUPS, _MIN_GROUP = 4, 8


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

    def forward(self, tokens: Tensor, key_bias: Tensor, num_outputs: int | None = None) -> Tensor:
        """Return tokens after attention and MLP.

        Args:
            tokens: float [N, T, H].
            key_bias: float [N, 1, 1, T].
            num_outputs: Compute outputs only for the first ``num_outputs`` tokens (None: all);
                every token still serves as key and value.

        Returns:
            float [N, T, H], or [N, num_outputs, H].
        """
        samples, _, hidden = tokens.shape
        normed = self.attention_norm(tokens)
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query = functional.linear(normed[:, :num_outputs], weight[:hidden], bias[:hidden])
        key_value = functional.linear(normed, weight[hidden:], bias[hidden:])  # [N, T, 2H]
        key, value = (
            key_value.view(samples, -1, 2, self.heads, hidden // self.heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )  # each [N, heads, T, H / heads]
        query = query.view(samples, -1, self.heads, hidden // self.heads).transpose(1, 2)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=key_bias.to(query.dtype)
        )
        joined = attended.transpose(1, 2).reshape(samples, -1, hidden)  # [N, T or num_outputs, H]
        tokens = tokens[:, :num_outputs] + self.attention_output(joined)
        output: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return output


class Reader(nn.Module):
    """Read [query token; tokens] and return the state of the query token.

    Args:
        embedding_size: D.
        settings: Of the fusion.
    """

    def __init__(self, embedding_size: int, settings: FusionSettings) -> None:
        super().__init__()
        hidden = settings.hidden_size
        self.token_norm = nn.LayerNorm(embedding_size)
        self.token_input = nn.Linear(embedding_size, hidden)
        self.pooled_input = nn.Linear(2 * embedding_size, hidden)
        self.query_token = nn.Parameter(torch.randn(hidden) * 0.02)
        self.layers = nn.ModuleList(
            FusionLayer(hidden, settings.heads) for _ in range(settings.layers)
        )
        self.output_norm = nn.LayerNorm(hidden)

    def forward(self, pooled: Tensor, tokens: Tokens, group_by_length: bool = False) -> Tensor:
        """Return the query token's state o, float [N, H].

        Args:
            pooled: float [N, 2D], both pooled embeddings, from which the query token starts.
            tokens: The merged sequence.
            group_by_length: Read samples of similar length together, so that one long sample does
                not pad the whole batch. Same result; less work, in more calls.
        """
        if torch.compiler.is_exporting():  # a graph masks tokens where this drops them
            return self._read(pooled, tokens)
        samples = len(pooled)
        num_groups = min(_MAX_GROUPS, samples // _MIN_GROUP)
        if not group_by_length or num_groups < 2:
            return self._read(pooled, tokens.compact())
        order = tokens.lengths.argsort()
        parts = [
            self._read(pooled[rows], tokens.select(rows).compact())
            for rows in order.chunk(num_groups)
        ]
        joined = torch.cat(parts)  # [N, H], in that order
        return torch.empty_like(joined).index_copy_(0, order, joined)

    def _read(self, pooled: Tensor, tokens: Tokens) -> Tensor:
        hidden = self.token_input(self.token_norm(tokens.values)) + tokens.places
        query = (self.query_token + self.pooled_input(pooled))[:, None]  # [N, 1, H]
        sequence = torch.cat([query, hidden], dim=1)  # [N, 1 + T, H]

        # Proportional attention, and -inf at padding; the query token has size 1.
        bias = tokens.log_sizes.masked_fill(~tokens.mask, -math.inf)
        bias = functional.pad(bias, (1, 0))[:, None, None, :]  # [N, 1, 1, 1 + T]
        *first, last = self.layers
        for layer in first:
            sequence = layer(sequence, bias)
        state: Tensor = self.output_norm(last(sequence, bias, num_outputs=1)[:, 0])
        return state
