"""Whole runs on a tiny catalogue: they learn, they resume exactly, they stop with a clear line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import tmcir
from tests.tiny import FUSION, TOWERS, build_model
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.evaluation import validation_score
from tmcir.runs.folder import claim_folder
from tmcir.training import check_run, load_recipe, train

pytestmark = pytest.mark.slow


def write_recipe(path: Path, catalogue: Path, **changes: Any) -> Path:
    stage = {"epochs": 3, "batch_size": 16, "evaluate_every": 1, "learning_rate": 2.0e-3}
    content: dict[str, Any] = {
        "name": "tiny",
        "description": "a tiny run",
        "dataset": {"name": "fashion-products", "root": str(catalogue)},
        "model": {"build": {**TOWERS, "vocabulary_size": 300, "text_length": 12}, "method": FUSION},
        "stages": {"align": {**stage}, "fuse": {**stage}},
        "checkpoint_minutes": 0.0001,
        "output": str(path.with_suffix("")),
        **changes,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def losses(run: Path, stage: str) -> list[float]:
    lines = (run / stage / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == list(range(len(rows)))
    return [row["loss"] for row in rows]


def start(recipe: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tmcir", "train", str(recipe)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not (path.exists() and len(path.read_text().splitlines()) >= count):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_learns_and_its_model_loads(catalogue: Path, tmp_path: Path) -> None:
    stages = {"fuse": {"epochs": 25, "batch_size": 32, "learning_rate": 3.0e-3}}
    recipe = load_recipe(write_recipe(tmp_path / "run.yaml", catalogue, stages=stages))
    folder = train(recipe, validation_score)
    curve = losses(tmp_path / "run", "fuse")
    assert sum(curve[-10:]) < 0.85 * sum(curve[:10])
    progress = json.loads((folder.parent / "fuse" / "model" / "training.json").read_text())
    assert progress["best_score"] > 75
    model = tmcir.load(folder, device="cpu")
    assert model.composer.merger.statistics.steps == progress["best_step"]
    assert sorted((tmp_path / "run" / "fuse" / "tensorboard").iterdir())


def test_one_model_learns_from_two_datasets(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {"items": 24, "queries": 8, "image_size": 32}
    parts = [
        {"name": "rendered", "root": "drawn", "options": drawn},
        {"name": "fashion-products", "root": str(catalogue), "rate": 0.5},
        {"name": "cirr", "root": "gone", "optional": True},
    ]
    dataset = {"name": "mixed", "root": str(tmp_path), "options": {"parts": parts, "block": 16}}
    stage = {"epochs": 2, "batch_size": 16, "evaluate_every": 1}
    recipe = write_recipe(
        tmp_path / "run.yaml", catalogue, dataset=dataset, stages={"align": stage, "fuse": stage}
    )
    folder = train(load_recipe(recipe), validation_score)
    progress = json.loads((folder.parent / "fuse" / "model" / "training.json").read_text())
    assert progress["metric"] == "R@10"
    assert "note: cirr is skipped" in capsys.readouterr().out
    assert tmcir.load(folder, device="cpu").composer.merger.statistics.steps > 0


def test_two_processes_train_both_stages(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 1, "batch_size": 16, "evaluate_every": 0}
    recipe = write_recipe(tmp_path / "run.yaml", catalogue, stages={"align": stage, "fuse": stage})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        start(recipe, RANK=rank, LOCAL_RANK=rank, ACCELERATE_USE_CPU="true", **world)
        for rank in ("0", "1")
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    for name in ("align", "fuse"):
        assert len(losses(tmp_path / "run", name)) >= 2
    assert tmcir.load(tmp_path / "run" / "model", device="cpu").composer.merger.statistics.steps > 0


def test_a_killed_run_goes_on_as_if_nothing_had_happened(catalogue: Path, tmp_path: Path) -> None:
    undisturbed = start(write_recipe(tmp_path / "whole.yaml", catalogue))
    recipe = write_recipe(tmp_path / "killed.yaml", catalogue)
    killed = start(recipe)
    for stage, lines in (("align", 7), ("fuse", 9)):
        wait_for_lines(tmp_path / "killed" / stage / "metrics.jsonl", lines, killed)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed = start(recipe)
    assert (undisturbed.wait(), killed.wait()) == (0, 0)
    for stage in ("align", "fuse"):
        assert losses(tmp_path / "killed", stage) == losses(tmp_path / "whole", stage)
    first, second = (
        tmcir.load(tmp_path / name / "model", device="cpu").state_dict()
        for name in ("whole", "killed")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_loss_that_is_not_finite_stops_the_run(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 3, "batch_size": 16, "learning_rate": 1.0e30, "warmup": 0.0}
    path = write_recipe(tmp_path / "run.yaml", catalogue, stages={"fuse": stage})
    with pytest.raises(TMCIRError, match=r"the loss is (nan|inf) at step \d+"):
        train(load_recipe(path))


def test_frozen_towers_stay_as_they_are(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 1, "batch_size": 16}
    first = train(
        load_recipe(write_recipe(tmp_path / "a.yaml", catalogue, stages={"align": stage}))
    )
    frozen = {**stage, "tower_learning_rate": 0.0}
    second = train(
        load_recipe(
            write_recipe(
                tmp_path / "b.yaml",
                catalogue,
                model={"source": str(first), "method": FUSION},
                stages={"fuse": frozen},
            )
        )
    )
    before, after = (tmcir.load(folder, device="cpu").state_dict() for folder in (first, second))
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key for key in changed if key.startswith("encoder.")} <= {"encoder.clip.logit_scale"}
    assert any(key.startswith("composer.") for key in changed)


def test_over_frozen_towers_a_run_learns_from_views(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 3, "batch_size": 16}
    towers = train(
        load_recipe(write_recipe(tmp_path / "a.yaml", catalogue, stages={"align": stage}))
    )
    frozen = {**stage, "learning_rate": 2.0e-3, "tower_learning_rate": 0.0, "views": 2}
    model = {"source": str(towers), "method": FUSION}
    path = write_recipe(tmp_path / "b.yaml", catalogue, model=model, stages={"fuse": frozen})
    trained = train(load_recipe(path))
    before, after = (tmcir.load(folder, device="cpu").state_dict() for folder in (towers, trained))
    changed = {key for key in before if key in after and not torch.equal(before[key], after[key])}
    assert {key for key in changed if key.startswith("encoder.")} <= {"encoder.clip.logit_scale"}
    found = losses(tmp_path / "b", "fuse")
    assert sum(found[-5:]) < sum(found[:5])


@pytest.mark.parametrize("kept", [False, True])
def test_a_run_starts_from_towers_or_from_a_whole_model(
    kept: bool, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = {"epochs": 1, "batch_size": 16, "learning_rate": 2.0e-3}
    first = train(load_recipe(write_recipe(tmp_path / "a.yaml", catalogue, stages={"fuse": stage})))
    hardly = {**stage, "learning_rate": 1.0e-9}
    model = {"source": str(first), **({} if kept else {"method": FUSION})}
    path = write_recipe(tmp_path / "b.yaml", catalogue, model=model, stages={"fuse": hardly})
    second = train(load_recipe(path))
    before, after = (tmcir.load(folder, device="cpu").state_dict() for folder in (first, second))
    own = f"model: {first} with its own method, TMCIR"
    new = f"model: the towers of {first} with a new method, TMCIR"
    assert (own if kept else new) in capsys.readouterr().out
    name = "composer.reader.token_input.weight"
    assert torch.allclose(before[name], after[name], atol=1e-5) == kept
    towers = [key for key in before if key.startswith("encoder.clip.text_model")]
    assert all(torch.allclose(before[key], after[key], atol=1e-5) for key in towers)


@pytest.mark.parametrize("image_size", [None, 32])
def test_a_source_s_method_is_kept_at_its_image_size(
    image_size: int | None, catalogue: Path, tmp_path: Path
) -> None:
    path = write_recipe(tmp_path / "a.yaml", catalogue, model={"source": "mini"})
    if image_size is None:
        assert load_recipe(path).model.method is None
    else:
        with pytest.raises(TMCIRError, match="image_size changes the number of image tokens"):
            load_recipe(path, [f"model.image_size={image_size}"])


def test_a_stage_of_another_method_needs_that_method(catalogue: Path, tmp_path: Path) -> None:
    stages = {"tune": {"values": 3}}
    path = write_recipe(tmp_path / "a.yaml", catalogue, model={"source": "mini"}, stages=stages)
    with pytest.raises(TMCIRError, match=r"set model\.method to weighted-sum"):
        load_recipe(path)
    load_recipe(path, ["model.method=weighted-sum"])


def test_lora_trains_adapters_and_saves_a_plain_model(catalogue: Path, tmp_path: Path) -> None:
    start_from = tmp_path / "start"
    before = build_model(FashionProducts(catalogue))
    before.save_pretrained(start_from)
    stage = {"epochs": 1, "batch_size": 16, "evaluate_every": 0, "lora": {"rank": 2}}
    path = write_recipe(
        tmp_path / "run.yaml",
        catalogue,
        model={"source": str(start_from), "method": FUSION},
        stages={"fuse": stage},
    )
    trained = tmcir.load(train(load_recipe(path), validation_score), device="cpu").state_dict()
    assert trained.keys() == before.state_dict().keys()
    towers = {
        key: (trained[key] - weight).detach()
        for key, weight in before.state_dict().items()
        if key.startswith("encoder.") and weight.ndim == 2
    }
    adapted = {key for key in towers if re.search(r"(q|k|v|out)_proj\.weight$", key)}
    assert len(adapted) == 8  # four projections in one layer of each tower
    for key, difference in towers.items():
        rank = int(torch.linalg.matrix_rank(difference, atol=1e-6))
        assert (1 <= rank <= 2) if key in adapted else (rank == 0), key


def test_a_folder_with_another_run_is_not_touched(catalogue: Path, tmp_path: Path) -> None:
    stages = {"align": {"epochs": 1, "batch_size": 16}}
    path = write_recipe(tmp_path / "run.yaml", catalogue, stages=stages)
    train(load_recipe(path))
    with pytest.raises(TMCIRError, match="holds a run with other settings"):
        train(load_recipe(path, ["seed=1"]))


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "run.yaml", tmp_path / "nothing", model={"source": "./no-model"})
    with pytest.raises(TMCIRError) as caught:
        train(load_recipe(path))
    assert "model.source: no such directory: ./no-model" in str(caught.value)
    assert "nothing" in str(caught.value)
    assert not (tmp_path / "run").exists()


def reject(path: Path, *overrides: str) -> str:
    """Return why a run is rejected before it starts, both by --check and by the training."""
    with pytest.raises(TMCIRError) as caught:
        check_run(load_recipe(path, overrides))
    with pytest.raises(TMCIRError) as again:
        train(load_recipe(path, overrides), validation_score)
    assert str(again.value) == str(caught.value)
    assert not list(path.with_suffix("").rglob("metrics.jsonl"))
    return str(caught.value)


def write_shop(root: Path, splits: Sequence[str]) -> Path:
    """Write a folder of own triplets, twelve of each split."""
    root.mkdir()
    lines = []
    for number, split in enumerate(split for split in splits for _ in range(12)):
        for name in ("a", "b"):
            colour = (20 * number % 256, 90, 30 * (name == "a"))
            Image.new("RGB", (20, 20), colour).save(root / f"{number}{name}.png")
        line = {"reference": f"{number}a.png", "text": "in red", "target": f"{number}b.png"}
        lines.append({**line, "split": split})
    (root / "triplets.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return root


def write_shop_recipe(tmp_path: Path, splits: Sequence[str], **stage: Any) -> Path:
    root = write_shop(tmp_path / "shop", splits)
    return write_recipe(
        tmp_path / "run.yaml",
        root,
        dataset={"name": "jsonl", "root": str(root)},
        stages={"fuse": {"epochs": 1, "batch_size": 4, **stage}},
    )


def test_a_stage_that_validates_needs_a_validation_split(tmp_path: Path) -> None:
    path = write_shop_recipe(tmp_path, ["train"])
    message = reject(path)
    assert "stages.fuse.evaluate_every: " in message and "0 keeps the last weights" in message
    assert train(load_recipe(path, ["stages.fuse.evaluate_every=0"]), validation_score).is_dir()


def test_too_few_samples_for_a_batch_are_rejected_at_once(tmp_path: Path) -> None:
    message = reject(write_shop_recipe(tmp_path, ["train", "val"], batch_size=16))
    assert "stages.fuse.batch_size: 12 samples do not fill a batch of 16" in message


def test_the_folder_of_another_run_is_rejected_at_once(tmp_path: Path) -> None:
    path = write_shop_recipe(tmp_path, ["train", "val"])
    claim_folder(load_recipe(path))
    check_run(load_recipe(path))
    assert "output: " in reject(path, "seed=1")


def test_with_skip_broken_validation_does_without_broken_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_shop_recipe(tmp_path, ["train", "val"])
    (tmp_path / "shop" / "15b.png").write_bytes(b"broken")
    (tmp_path / "shop" / "unnamed.png").write_bytes(b"broken")  # of the gallery alone
    assert train(load_recipe(path, ["dataset.skip_broken=true"]), validation_score).is_dir()
    assert "validation R@10" in capsys.readouterr().out


def test_broken_images_are_skipped_on_request(tmp_path: Path) -> None:
    from tests.tiny import draw_catalogue

    root = draw_catalogue(tmp_path / "products")
    (root / "images" / "102.jpg").write_bytes(b"not an image")
    (root / "images" / "103.jpg").unlink()
    stages = {"fuse": {"epochs": 1, "batch_size": 16}}
    path = write_recipe(tmp_path / "run.yaml", root, stages=stages)
    with pytest.raises(TMCIRError, match="102"):
        train(load_recipe(path))
    train(load_recipe(path, ["dataset.skip_broken=true", f"output={tmp_path / 'second'}"]))


def test_a_run_without_validation_claims_no_selection(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 1, "batch_size": 16, "evaluate_every": 0}
    path = write_recipe(tmp_path / "run.yaml", catalogue, stages={"fuse": stage}, description="")
    card = (train(load_recipe(path), validation_score) / "README.md").read_text()
    assert "the last | - | - | - |" in card and "selected" not in card
    assert "\nTrained on fashion-products" in card


def test_a_finished_run_says_in_its_card_what_it_is(catalogue: Path, tmp_path: Path) -> None:
    stage = {"epochs": 1, "batch_size": 16, "evaluate_every": 1}
    path = write_recipe(tmp_path / "run.yaml", catalogue, stages={"align": stage, "fuse": stage})
    recipe = load_recipe(path)
    folder = train(recipe, validation_score)
    card = (folder / "README.md").read_text()
    progress = json.loads((tmp_path / "run" / "fuse" / "model" / "training.json").read_text())
    scores = [progress[f"{when}_score"] for when in ("first", "best", "last")]
    cells = " | ".join(f"R@10 {score:.2f}" for score in scores)
    row = f"| fuse | {progress['step']} | those of step {progress['best_step']} | {cells} |"
    assert row in card
    assert "The weights of align and fuse were selected on the validation split" in card
    assert "# tiny" in card and '"seed": 0' in card
    assert str(tmp_path) not in card
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert train(recipe, validation_score) == folder  # both stages are taken as they are
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
