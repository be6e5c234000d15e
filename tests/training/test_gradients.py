"""The knobs do not change the result: micro-batches and processes give the same gradients."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.tiny import build_model
from tmcir.data.fashion_products import FashionProducts
from tmcir.training.batches import Batch, ImageStore, make_batch
from tmcir.training.gradients import Embedder, backward
from tmcir.training.pairing import make_pairing
from tmcir.training.recipe import AlignSettings
from tmcir.training.stages import Stage, align, fuse

BATCH = 16


def build(catalogue: Path, name: str) -> tuple[Embedder, Stage, Batch]:
    dataset = FashionProducts(catalogue, "train")
    model = build_model(dataset).train()
    torch.nn.init.normal_(model.fusion.output.weight, std=0.1)
    captions = make_pairing(AlignSettings(), dataset)
    stage = align(captions, 0, False) if name == "align" else fuse(dataset, True, True)
    store = ImageStore(model, dataset.image_path, limit=1 << 30)
    batch = make_batch(stage.samples(0)[:BATCH], model, store, 0.8, "a seed")
    return Embedder(model, stage), stage, batch


def gradients(
    embedder: Embedder, stage: Stage, batch: Batch, micro: int
) -> dict[str, torch.Tensor]:
    embedder.zero_grad()
    loss = backward(embedder, stage, batch, micro, Accelerator(cpu=True))
    found = {
        name: parameter.grad.clone()
        for name, parameter in embedder.named_parameters()
        if parameter.grad is not None
    }
    return {"loss": loss, **found}


@pytest.mark.parametrize("name", ["align", "fuse"])
@pytest.mark.parametrize("micro", [1, 5, 8])
def test_micro_batches_give_the_gradients_of_the_whole_batch(
    catalogue: Path, name: str, micro: int
) -> None:
    embedder, stage, batch = build(catalogue, name)
    whole = gradients(embedder, stage, batch, BATCH)
    parts = gradients(embedder, stage, batch, micro)
    assert whole.keys() == parts.keys()
    assert any(name.endswith("logit_scale") for name in whole)
    for key in whole:
        torch.testing.assert_close(parts[key], whole[key], atol=1e-5, rtol=1e-3, msg=key)


def test_two_processes_give_the_gradients_of_one(catalogue: Path, tmp_path: Path) -> None:
    embedder, stage, batch = build(catalogue, "fuse")
    alone = gradients(embedder, stage, batch, BATCH)
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
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        for key, value in alone.items():
            expected = [value.double().sum().item(), value.double().square().sum().item()]
            assert found[key.replace("module.", "")] == pytest.approx(
                expected, rel=2e-3, abs=1e-6
            ), key


def run_one_process(catalogue: Path, result: Path) -> None:
    accelerator = Accelerator(cpu=True)
    embedder, stage, batch = build(catalogue, "fuse")
    share = batch.split(BATCH // 2)[accelerator.process_index]
    wrapped = accelerator.prepare(embedder)
    loss = backward(wrapped, stage, share, 3, accelerator)
    found = {
        "loss": loss,
        **{n: p.grad for n, p in embedder.named_parameters() if p.grad is not None},
    }
    result.write_text(
        json.dumps(
            {
                key: [value.double().sum().item(), value.double().square().sum().item()]
                for key, value in found.items()
            }
        )
    )
    accelerator.end_training()


if __name__ == "__main__":
    run_one_process(Path(sys.argv[1]), Path(sys.argv[2]))
