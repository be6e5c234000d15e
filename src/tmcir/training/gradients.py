"""One optimiser step's gradients: micro-batches and processes do not change the result.

A contrastive loss needs every pair of the batch at once, and plain gradient accumulation would
lose negatives. Here all embeddings are computed first without keeping activations; the loss over
the whole batch, gathered over processes, gives their gradients; then each micro-batch is run again
and continues from those (GradCache, arXiv 2101.06983). A batch that fits is run once. Both runs
over a micro-batch use the same dropout, from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tmcir.models.tmcir import TMCIR
from tmcir.training.batches import Batch
from tmcir.training.images import seeded
from tmcir.training.stages import Pairs, Stage


class StageModule(nn.Module):
    """A stage's embedding of a batch as a module, so that DDP sees one forward call."""

    def __init__(self, model: TMCIR, stage: Stage) -> None:
        super().__init__()
        self.model = model
        self.stage = stage

    def forward(self, batch: Batch) -> Pairs:
        """Embed a batch."""
        return self.stage.embed(self.model, batch)


def backward(
    module: nn.Module,
    stage: Stage,
    batch: Batch,
    max_images: int,
    accelerator: Accelerator,
    seed: str = "",
) -> Tensor:
    """Add the gradients of the loss over the whole batch; return the loss, detached.

    Args:
        module: The ``StageModule``, prepared by ``accelerator``.
        stage: Gives the loss.
        batch: This process's share of the batch.
        max_images: Maximum number of images whose activations are in memory at once.
        accelerator: Gathers over processes and runs the backward pass.
        seed: Of dropout; another in every step and process.
    """
    with _attention(accelerator):
        parts = batch.split(max_images)
        if len(parts) == 1:
            return _at_once(module, stage, batch, accelerator, seed)
        return _in_parts(module, stage, parts, accelerator, seed)


def _at_once(
    module: nn.Module, stage: Stage, batch: Batch, accelerator: Accelerator, seed: str
) -> Tensor:
    with _seeded(seed, accelerator.device):
        pairs = module(batch)
    loss = stage.loss(pairs.map(gather))
    accelerator.backward(loss)
    return loss.detach()


def _in_parts(
    module: nn.Module,
    stage: Stage,
    parts: Sequence[Batch],
    accelerator: Accelerator,
    seed: str,
) -> Tensor:
    device = accelerator.device
    with torch.no_grad(), _seeded(seed, device):
        whole = _leaves([module(part) for part in parts])
    loss = stage.loss(whole.map(gather))
    loss.backward()
    with _seeded(seed, device):
        start = 0
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(module):
                pairs = module(part)
                rows = slice(start, start := start + len(part.target))
                accelerator.backward(_surrogate(pairs, whole, rows, count=len(parts)))
    return loss.detach()


def _attention(accelerator: Accelerator) -> AbstractContextManager[object]:
    """Choose plain products for attention in bfloat16 on a CPU.

    For sequences as short as these torch's fused kernel takes three times as long there.
    """
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16":
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


@contextmanager
def _seeded(seed: str, device: torch.device) -> Iterator[None]:
    """Seed torch within the block, and restore the states of its generators afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seeded(seed).initial_seed())
        yield


def gather(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes, in order of rank; gradients flow to its own."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        world = torch.distributed.get_world_size()
        parts = [torch.empty_like(rows) for _ in range(world)]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        # Every process has the same loss, hence the same gradients; DDP then averages over the
        # processes, which the factor undoes.
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        return gradients[0].chunk(world)[rank] * world


def _leaves(parts: list[Pairs]) -> Pairs:
    """Join the micro-batches' embeddings into tensors that collect gradients."""

    def join(name: str) -> Tensor:
        joined = torch.cat([getattr(part, name) for part in parts])
        return joined.requires_grad_(joined.is_floating_point())

    first = parts[0]
    return Pairs(
        left=join("left"),
        right=join("right"),
        groups=join("groups"),
        scale=first.scale.detach().requires_grad_(),
        hard_negatives=None if first.hard_negatives is None else join("hard_negatives"),
        hard_mask=None if first.hard_mask is None else join("hard_mask"),
        captions=None if first.captions is None else join("captions"),
        caption_mask=None if first.caption_mask is None else join("caption_mask"),
    )


def _surrogate(pairs: Pairs, whole: Pairs, rows: slice, count: int) -> Tensor:
    """Return a scalar whose gradient is that of the loss through one micro-batch."""
    assert whole.scale.grad is not None
    scalar = pairs.scale * whole.scale.grad / count
    for name in ("left", "right", "hard_negatives", "captions"):
        rows_of_part, leaf = getattr(pairs, name), getattr(whole, name)
        if leaf is not None:
            scalar = scalar + (rows_of_part.float() * leaf.grad[rows]).sum()
    return scalar
