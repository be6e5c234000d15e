"""The knobs do not change the result: micro-batches and processes give the same gradients."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from tests.tiny import build_model
from tmcir.data.fashion_products import FashionProducts
from tmcir.training.batches import Batch, make_batch
from tmcir.training.fitting import checkpoint_gradients
from tmcir.training.gradients import StageModule, backward
from tmcir.training.images import Augmentation, Crops, ImageStore, seeded
from tmcir.training.pairing import make_pairing
from tmcir.training.recipe import AlignSettings
from tmcir.training.stages import Stage, align, fuse, invert

pytestmark = pytest.mark.slow

BATCH = 16
WHOLE = 1000  # images, more than a batch has


def build(
    catalogue: Path, name: str, method: str = "tmcir", **settings: Any
) -> tuple[StageModule, Stage, Batch]:
    dataset = FashionProducts(catalogue, "train")
    model = build_model(dataset, method=method, **settings).train()
    if method == "tmcir":
        torch.nn.init.normal_(model.get_parameter("composer.output.weight"), std=0.1)
    stages = {
        "align": lambda: align(make_pairing(AlignSettings(), dataset), 0, False),
        "invert": lambda: invert(dataset, 0, True),
        "fuse": lambda: fuse(dataset, 0, True, True),
    }
    stage = stages[name]()
    store = ImageStore(model, dataset.image_path, limit=1 << 30)
    batch = make_batch(
        stage.samples(0)[:BATCH],
        model.encoder,
        Crops(store, Augmentation(0.8, mirror=True)),
        "a seed",
    )
    return StageModule(model, stage), stage, batch


def gradients(
    module: StageModule, stage: Stage, batch: Batch, micro: int, seed: str = ""
) -> dict[str, torch.Tensor]:
    module.zero_grad()
    loss = backward(module, stage, batch, micro, Accelerator(cpu=True), seed)
    found = {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    return {"loss": loss, **found}


@pytest.mark.parametrize("name", ["align", "fuse"])
@pytest.mark.parametrize("micro", [1, 5, 8])
def test_micro_batches_give_the_gradients_of_the_whole_batch(
    catalogue: Path, name: str, micro: int
) -> None:
    module, stage, batch = build(catalogue, name)
    whole = gradients(module, stage, batch, WHOLE)
    parts = gradients(module, stage, batch, micro)
    assert whole.keys() == parts.keys()
    assert any(name.endswith("logit_scale") for name in whole)
    for key in whole:
        torch.testing.assert_close(parts[key], whole[key], atol=1e-5, rtol=1e-3, msg=key)


def test_micro_batches_keep_the_negatives_of_each_query(catalogue: Path) -> None:
    module, stage, batch = build(catalogue, "fuse")
    count = len(batch.images)
    negatives = torch.arange(2 * BATCH).view(BATCH, 2) * 7 % count
    negatives[::3, 1] = -1
    batch = replace(batch, negatives=negatives)
    whole = gradients(module, stage, batch, WHOLE)
    assert whole["loss"] > gradients(module, stage, replace(batch, negatives=None), WHOLE)["loss"]
    parts = gradients(module, stage, batch, 6)
    for key in whole:
        torch.testing.assert_close(parts[key], whole[key], atol=1e-5, rtol=1e-3, msg=key)


@pytest.mark.parametrize("micro", [WHOLE, 6])
def test_checkpointing_gradients_changes_none(catalogue: Path, micro: int) -> None:
    module, stage, batch = build(catalogue, "fuse")
    whole = gradients(module, stage, batch, micro)
    stored: list[int] = []

    def count(tensor: torch.Tensor) -> torch.Tensor:
        stored[-1] += tensor.numel()
        return tensor

    def measured() -> dict[str, torch.Tensor]:
        stored.append(0)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            return gradients(module, stage, batch, micro)

    measured()
    checkpoint_gradients(module.model, True)
    found = measured()
    assert stored[1] < stored[0]
    checkpoint_gradients(module.model, False)
    measured()
    assert stored[2] == stored[0]
    for key in whole:
        torch.testing.assert_close(found[key], whole[key], atol=1e-6, rtol=1e-4, msg=key)


@pytest.mark.parametrize(
    ("name", "method", "settings"),
    [
        ("fuse", "tmcir", {"match_temperature": 0.1}),
        ("fuse", "weighted-sum", {}),
        ("fuse", "tirg", {}),
        ("fuse", "combiner", {"dropout": 0.0}),
        ("fuse", "pic2word", {"dropout": 0.0}),
        ("invert", "pic2word", {"dropout": 0.0}),
    ],
)
def test_micro_batches_change_no_method(
    catalogue: Path, name: str, method: str, settings: dict[str, float]
) -> None:
    module, stage, batch = build(catalogue, name, method, **settings)
    whole = gradients(module, stage, batch, WHOLE)
    parts = gradients(module, stage, batch, 5)
    assert whole.keys() == parts.keys()
    for key in whole:
        torch.testing.assert_close(parts[key], whole[key], atol=1e-5, rtol=1e-3, msg=key)


@pytest.mark.parametrize(
    ("name", "method"), [("fuse", "combiner"), ("fuse", "pic2word"), ("invert", "pic2word")]
)
def test_both_runs_over_a_micro_batch_drop_the_same(
    catalogue: Path, name: str, method: str
) -> None:
    module, stage, batch = build(catalogue, name, method, dropout=0.5)
    found = gradients(module, stage, batch, 5, seed="a")
    # The same in one piece: all micro-batches with their activations, and one backward pass.
    module.zero_grad()
    with torch.random.fork_rng([]):
        torch.manual_seed(seeded("a").initial_seed())
        parts = [module(part) for part in batch.split(5)]
    joined = {
        field: torch.cat([getattr(part, field) for part in parts])
        for field in ("left", "right", "groups", "hard_negatives")
        if getattr(parts[0], field) is not None
    }
    loss = stage.loss(replace(parts[0], **joined))
    loss.backward()
    torch.testing.assert_close(found.pop("loss"), loss.detach())
    for key, parameter in module.named_parameters():
        if parameter.grad is not None:
            gradient = found.pop(key)
            torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-3, msg=key)
    assert not found


def test_dropout_is_drawn_from_the_seed_alone(catalogue: Path) -> None:
    module, stage, batch = build(catalogue, "fuse", "combiner")
    losses: list[float] = []
    for seed, micro in (("a", WHOLE), ("a", WHOLE), ("b", WHOLE), ("a", 5), ("a", 5)):
        torch.manual_seed(len(losses))
        before = torch.random.get_rng_state()
        losses.append(gradients(module, stage, batch, micro, seed)["loss"].item())
        assert torch.equal(torch.random.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]
    assert losses[3] == losses[4]


def test_two_processes_give_the_gradients_of_one(catalogue: Path, tmp_path: Path) -> None:
    module, stage, batch = build(catalogue, "fuse")
    alone = gradients(module, stage, batch, WHOLE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(catalogue), str(tmp_path / f"{rank}.json")],
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
                "ACCELERATE_USE_CPU": "true",
                # This package's sources first, wherever the tests took it from.
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
            },
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        for key, value in alone.items():
            expected = [value.double().sum().item(), value.double().square().sum().item()]
            # A sum of large numbers may be zero but for rounding, which follows their size.
            rounding = max(1e-6, 1e-5 * math.sqrt(expected[1]))
            assert found[key.removeprefix("module.")] == pytest.approx(
                expected, rel=2e-3, abs=rounding
            ), key


def run_one_process(catalogue: Path, result: Path) -> None:
    accelerator = Accelerator(cpu=True)
    module, stage, batch = build(catalogue, "fuse")
    start = BATCH // 2 * accelerator.process_index
    share = batch._slice(slice(start, start + BATCH // 2))
    wrapped = accelerator.prepare(module)
    loss = backward(wrapped, stage, share, 3, accelerator)
    found = {
        "loss": loss,
        **{n: p.grad for n, p in module.named_parameters() if p.grad is not None},
    }
    result.write_text(
        json.dumps(
            {
                key: [value.double().sum().item(), value.double().square().sum().item()]
                for key, value in found.items()
            }
        )
    )
    del wrapped, loss, found
    accelerator.free_memory()  # as a training does before it ends
    accelerator.end_training()


if __name__ == "__main__":
    run_one_process(Path(sys.argv[1]), Path(sys.argv[2]))
