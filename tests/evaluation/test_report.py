from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Task, Triplet
from tmcir.evaluation.protocols import PROTOCOLS
from tmcir.evaluation.report import Report, summarise

FASHION_IQ, FASHION200K = PROTOCOLS["original"], PROTOCOLS["fashion200k"]


def make_task(name: str, kinds: str) -> Task:
    triplets = [
        Triplet(f"{name}-{number}", "a", "text", "b", kind=kind.strip())
        for number, kind in enumerate(kinds)
    ]
    return Task(name, triplets, ["a", "b", "c"], remove_reference=False)


def make_values(*found: float) -> dict[str, torch.Tensor]:
    values = torch.tensor(found, dtype=torch.float64)
    return {"R@10": values, "R@50": torch.ones_like(values), "mean": (values + 1) / 2}


def make_report() -> Report:
    measured = [
        (make_task("dress", "dddd"), make_values(1, 0, 0, 0)),
        (make_task("shirt", "ss"), make_values(1, 1)),
    ]
    overall, parts = summarise(measured, FASHION_IQ)
    return Report(
        "fashion-iq", "val", "original", "m", "tmcir", "mean", overall, tuple(parts), ("careful",)
    )


def test_categories_are_averaged_with_equal_weight() -> None:
    report = make_report()
    dress, shirt = report.parts
    # 1 of 4 and 2 of 2 found: 25 and 100 percent; their average is 62.5, not 3 of 6.
    assert dress.metrics["R@10"].value == 25
    assert shirt.metrics["R@10"].value == 100
    assert report.overall.metrics["R@10"].value == 62.5
    # The mean of R@10 and R@50: (62.5 + 100) / 2
    assert report.score == 81.25
    assert (report.overall.name, report.overall.queries, report.overall.gallery) == (
        "average",
        6,
        6,
    )


def test_the_average_has_an_interval_of_its_own() -> None:
    report = make_report()
    dress, overall = report.parts[0].metrics["R@10"], report.overall.metrics["R@10"]
    # Only dress varies, with half the weight: its interval at half the width, around the average.
    assert overall.low == pytest.approx((dress.low + 100) / 2)
    assert overall.high == pytest.approx((dress.high + 100) / 2)
    assert dress.low < 25 < dress.high
    for part in (*report.parts, report.overall):
        assert all(0 <= m.low <= m.value <= m.high <= 100 for m in part.metrics.values())


def test_kinds_are_parts_of_one_task() -> None:
    task = make_task("products", "cct ")
    overall, parts = summarise([(task, make_values(1, 0, 1, 1))], FASHION200K)
    assert (overall.name, overall.metrics["R@10"].value) == ("all", 75)
    found = {part.name: (part.queries, part.metrics["R@10"].value) for part in parts}
    assert found == {"other": (1, 100), "c": (2, 50), "t": (1, 100)}
    assert summarise([(make_task("x", "  "), make_values(1, 0))], FASHION200K)[1] == []


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    report = make_report()
    path = tmp_path / "folder" / "report.json"
    report.save(path)
    assert Report.load(path) == report
    content = json.loads(path.read_text())
    assert content["overall"]["metrics"]["R@10"]["value"] == 62.5
    assert (content["level"], content["resamples"], content["protocol"]) == (0.95, 1000, "original")


def test_the_table_has_a_column_a_part() -> None:
    lines = str(make_report()).splitlines()
    assert lines[0] == "fashion-iq val, protocol original; model m, method tmcir"
    assert lines[2].split() == ["dress", "shirt", "average"]
    assert lines[3].split() == ["queries", "4", "2", "6"]
    assert lines[5].startswith("R@10")
    assert "25.00 [" in lines[5]
    assert "100.00 [100.0, 100.0]" in lines[5]
    assert lines[-1] == "note: careful"


def test_the_table_has_a_row_a_part_where_that_is_less_wide() -> None:
    task = make_task("products", "abcdef")
    overall, parts = summarise([(task, make_values(1, 0, 0, 0, 0, 1))], FASHION200K)
    report = Report("d", "val", "fashion200k", "m", "sum", "R@10", overall, tuple(parts))
    lines = str(report).splitlines()
    assert lines[2].split() == ["queries", "gallery", "R@10", "R@50", "mean"]
    assert [line.split()[0] for line in lines[3:10]] == [*"abcdef", "all"]
    assert lines[3].split()[1:5] == ["1", "3", "100.00", "[100.0,"]
    assert len({len(line) for line in lines[2:10]}) == 1


def test_what_only_some_tasks_have_is_not_averaged() -> None:
    values = [make_values(1, 0), make_values(1)]
    values[0]["changed@10"] = values[0]["R@10"]
    tasks = [make_task("dress", "dd"), make_task("shirt", "s")]
    measured = list(zip(tasks, values, strict=True))
    for order in (measured, measured[::-1]):
        overall, _ = summarise(order, FASHION_IQ)
        assert list(overall.metrics) == ["R@10", "R@50", "mean"]


@pytest.mark.parametrize(
    "change",
    [{"format": "other"}, {"parts": None}, {"overall": {}}, {"overall": {"metrics": {"R": {}}}}],
)
def test_what_is_no_report_is_rejected(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(make_report().as_dict() | change))
    with pytest.raises(TMCIRError, match=r"report\.json: (not a report|a report with a missing)"):
        Report.load(path)


def test_nothing_to_evaluate_is_an_error() -> None:
    with pytest.raises(TMCIRError, match="nothing to evaluate"):
        summarise([], FASHION_IQ)
    with pytest.raises(TMCIRError, match="dress has no queries"):
        summarise([(make_task("dress", ""), make_values())], FASHION_IQ)
