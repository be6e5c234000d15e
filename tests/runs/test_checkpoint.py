from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from tmcir.core.errors import TMCIRError
from tmcir.runs.checkpoint import TrainingState, load_checkpoint, save_checkpoint


def test_what_a_kill_left_of_a_checkpoint_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    left = tmp_path / ".staging-abandoned"
    left.mkdir()
    (left / ".tmpAbCdEf").write_bytes(b"half of a checkpoint")
    model = nn.Linear(3, 2)
    save_checkpoint(path, model, TrainingState(step=7))
    assert list(tmp_path.iterdir()) == [path]
    other = nn.Linear(3, 2)
    assert load_checkpoint(path, other) == TrainingState(step=7)
    assert other.weight.equal(model.weight)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    model = nn.Linear(3, 2)
    save_checkpoint(path, model, TrainingState(step=1))

    def fail(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("tmcir.runs.checkpoint.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, model, TrainingState(step=2))
    assert load_checkpoint(path, model) == TrainingState(step=1)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(TMCIRError, match="remove the run's folder"):
        load_checkpoint(path, nn.Linear(3, 2))
