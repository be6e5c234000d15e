"""Every protocol on a few images, with the ranking written out."""

from __future__ import annotations

import pytest
import torch

from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Task, Triplet
from tmcir.evaluation.protocols import PROTOCOLS, Values, find_protocol, right_answers

# One query [1]; a gallery embedding [s] then has the score s.
QUERY = torch.ones(1, 1)


def measure(protocol: str, triplet: Triplet, scores: dict[str, float], remove: bool) -> Values:
    task = Task("task", [triplet], list(scores), remove_reference=remove)
    gallery = torch.tensor(list(scores.values()))[:, None]
    return PROTOCOLS[protocol].measure(task, QUERY, gallery)


def figures(values: Values) -> dict[str, float]:
    return {name: value.item() for name, value in values.items()}


def numbered(count: int) -> dict[str, float]:
    """Images "0", "1", ... in the order of their ranking."""
    return {str(number): float(-number) for number in range(count)}


def test_fashion_iq_with_and_without_the_reference() -> None:
    # The target is the eleventh image, and the reference the first: without it, the target is
    # the tenth.
    triplet = Triplet("q", "0", "text", "10")
    kept = measure("original", triplet, numbered(60), remove=False)
    removed = measure("original-no-reference", triplet, numbered(60), remove=True)
    assert figures(kept) == {"R@10": 0, "R@50": 1, "mean": 0.5}
    assert figures(removed) == {"R@10": 1, "R@50": 1, "mean": 1}


def test_cirr() -> None:
    # Ranking without the reference "0": 1 2 3 4 5 6 ...; the target "6" is the sixth.
    # In the set {3, 4, 6, 8, 9} it is the third.
    triplet = Triplet("q", "0", "text", "6", subset=("9", "8", "6", "4", "3"))
    values = figures(measure("cirr", triplet, numbered(60), remove=True))
    assert values == {
        "R@1": 0,
        "R@5": 0,
        "R@10": 1,
        "R@50": 1,
        "R_subset@1": 0,
        "R_subset@2": 0,
        "R_subset@3": 1,
        "(R@5 + R_subset@1)/2": 0,
    }
    # Fourth in the gallery and first in its set: (1 + 1) / 2. Sixth and first: (0 + 1) / 2.
    for target, expected in (("4", 1), ("6", 0.5)):
        triplet = Triplet("q", "0", "text", target, subset=(target, "7", "8", "9", "10"))
        values = figures(measure("cirr", triplet, numbered(60), remove=True))
        assert values["(R@5 + R_subset@1)/2"] == expected


def test_circo() -> None:
    # Right answers at the places 2, 5 and 30 (the images "1", "4" and "29"); target "4".
    triplet = Triplet("q", "0", "text", "4", answers=("29", "4", "1"))
    values = figures(measure("circo", triplet, numbered(60), remove=False))
    two = 1 / 2 + 2 / 5
    assert values == pytest.approx(
        {
            "mAP@5": two / 3,
            "mAP@10": two / 3,
            "mAP@25": two / 3,
            "mAP@50": (two + 3 / 30) / 3,
            "R@5": 1,
            "R@10": 1,
            "R@25": 1,
            "R@50": 1,
        }
    )


def test_circo_recall_is_by_the_target_alone() -> None:
    triplet = Triplet("q", "0", "text", "29", answers=("1", "29"))
    values = figures(measure("circo", triplet, numbered(60), remove=False))
    assert [values[f"R@{k}"] for k in (5, 10, 25, 50)] == [0, 0, 0, 1]


def test_fashion200k_takes_the_best_answer() -> None:
    # Without the reference "0" the answers "11" and "1" are the eleventh and the first.
    triplet = Triplet("q", "0", "text", "11", answers=("11", "1"))
    values = figures(measure("fashion200k", triplet, numbered(60), remove=True))
    assert values == {"R@1": 1, "R@10": 1, "R@50": 1}
    alone = Triplet("q", "0", "text", "11")
    values = figures(measure("fashion200k", alone, numbered(60), remove=True))
    assert values == {"R@1": 0, "R@10": 0, "R@50": 1}


def test_rendered_adds_precision_over_all_answers() -> None:
    # Without the reference "0" the answers "2", "4" and "30" are at the places 2, 4 and 30: the
    # first two count, of min(3, 10) that could. The target counts as any other answer.
    triplet = Triplet("q", "0", "text", "30", answers=("2", "4", "30"))
    values = figures(measure("rendered", triplet, numbered(60), remove=True))
    expected = {"R@1": 0, "R@10": 1, "R@50": 1, "mAP@10": (1 / 2 + 2 / 4) / 3}
    assert values == pytest.approx(expected)


@pytest.mark.parametrize("protocol", ["circo", "rendered"])
def test_no_queries_give_no_values(protocol: str) -> None:
    values = PROTOCOLS[protocol].measure(Task("task", [], ["0"], True), QUERY[:0], QUERY)
    assert {len(value) for value in values.values()} == {0}


def test_ties_are_broken_by_gallery_order() -> None:
    # Twelve images with the same score; without the reference "0" the target "10" is the tenth.
    scores = dict.fromkeys(numbered(12), 1.0)
    values = measure("val", Triplet("q", "0", "text", "10"), scores, remove=True)
    assert values["R@10"].item() == 1
    values = measure("val", Triplet("q", "0", "text", "11"), scores, remove=True)
    assert values["R@10"].item() == 0


def test_bad_tasks_are_named() -> None:
    with pytest.raises(TMCIRError, match="query q: image 'gone' is not in the gallery"):
        measure("original", Triplet("q", "0", "text", "gone"), numbered(3), remove=False)
    with pytest.raises(TMCIRError, match="query q has no target: the labels of this split"):
        right_answers(Triplet("q", "0", "text"))
    with pytest.raises(TMCIRError, match="unknown protocol 'circ'"):
        find_protocol("circ")
    twice = Task("task", [Triplet("q", "0", "text", "0")], ["0", "0"], remove_reference=False)
    with pytest.raises(TMCIRError, match="names an image twice"):
        PROTOCOLS["original"].measure(twice, QUERY, torch.ones(2, 1))
    empty = Task("task", [], [], remove_reference=False)
    with pytest.raises(TMCIRError, match="gallery of task is empty"):
        PROTOCOLS["original"].measure(empty, QUERY[:0], QUERY[:0])
