"""The curves of a run: each value at its step, and no overlap after a resume."""

from __future__ import annotations

import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tmcir.runs.monitor import Monitor


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the points of each curve that TensorBoard shows."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_curves_have_each_value_at_its_step(tmp_path: Path) -> None:
    said: list[str] = []
    monitor = Monitor(tmp_path, "fuse", total=3, start=0, say=said.append)
    monitor.score(0, "R@10", 20.0, seconds=0.0, best=True)
    for step, loss in enumerate([4.0, 2.0, 1.0]):
        monitor.step(step, loss=loss, temperature=0.5)
    monitor.score(3, "R@10", 35.5, seconds=0.0, best=True)
    monitor.close()
    assert curves(tmp_path) == {
        "fuse/loss": [(0, 4.0), (1, 2.0), (2, 1.0)],
        "fuse/temperature": [(0, 0.5), (1, 0.5), (2, 0.5)],
        "fuse/validation R@10": [(0, 20.0), (3, 35.5)],
    }
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [4.0, 2.0, 1.0]
    assert said[0] == "fuse  step 0/3  validation R@10 20.00  (best so far)"
    assert said[-1] == "fuse  step 3/3  validation R@10 35.50  (best so far)"


def test_a_resumed_run_continues_its_curves(tmp_path: Path) -> None:
    first = Monitor(tmp_path, "fuse", total=4, start=0, say=lambda line: None)
    for step in range(3):  # the checkpoint was after step 1, and the run was killed after step 2
        first.step(step, loss=10.0 + step)
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    second = Monitor(tmp_path, "fuse", total=4, start=2, say=lambda line: None)
    for step in (2, 3):
        second.step(step, loss=20.0 + step)
    second.close()
    expected = [(0, 10.0), (1, 11.0), (2, 22.0), (3, 23.0)]
    assert curves(tmp_path)["fuse/loss"] == expected
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == expected
