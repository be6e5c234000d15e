"""Balance: Shapley values by hand and by axioms, swapped queries, ranks, sides of failures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from tests.evaluation.fake import make_embeddings
from tests.evaluation.test_intent import Judged
from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Task, Triplet
from tmcir.evaluation import Embeddings, Report, score
from tmcir.evaluation.balance import (
    LABELS,
    Balance,
    measure_balance,
    shapley,
    summarise_balance,
    swapped_tasks,
    target_scores,
)

Worths = tuple[float, float, float, float]
worths = st.tuples(*[st.floats(-5, 5)] * 4)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def contributions(*worth: float) -> tuple[float, float]:
    image, text = shapley(*(column(value) for value in worth))
    return image.item(), text.item()


def test_shapley_values_by_hand() -> None:
    # Joining first the image brings 2 - 1 = 1, joining after the text 7 - 3 = 4: (1 + 4) / 2.
    # The text brings first 3 - 1 = 2, after the image 7 - 2 = 5: (2 + 5) / 2.
    assert contributions(1.0, 2.0, 3.0, 7.0) == (2.5, 3.5)


@given(worths)
def test_shapley_values_share_out_all_there_is(worth: Worths) -> None:
    neither, _, _, both = worth
    assert sum(contributions(*worth)) == pytest.approx(both - neither, abs=1e-9)


@given(worths)
def test_shapley_values_are_symmetric(worth: Worths) -> None:
    neither, image, text, both = worth
    assert contributions(neither, text, image, both) == contributions(*worth)[::-1]


@given(worths)
def test_who_brings_nothing_gets_nothing(worth: Worths) -> None:
    neither, image, _, _ = worth
    assert contributions(neither, image, neither, image)[1] == 0


@given(worths, worths, st.floats(-3, 3))
def test_shapley_values_are_linear(one: Worths, two: Worths, factor: float) -> None:
    joint = contributions(*(a + factor * b for a, b in zip(one, two, strict=True)))
    alone = zip(contributions(*one), contributions(*two), strict=True)
    assert joint == pytest.approx([a + factor * b for a, b in alone], abs=1e-9)


def test_target_scores_by_hand() -> None:
    # Scores 3, 1, 2 have mean 2 and deviation sqrt(2/3): the target at 3 lies sqrt(3/2) above.
    gallery = torch.tensor([[3.0], [1.0], [2.0]])
    found = target_scores(torch.ones(1, 1), gallery, torch.tensor([0]), None)
    assert found.tolist() == pytest.approx([math.sqrt(1.5)])


def test_a_removed_reference_counts_neither_in_mean_nor_in_deviation() -> None:
    # Without 9, the scores 3 and 1 have mean 2 and deviation 1.
    gallery = torch.tensor([[3.0], [1.0], [9.0]])
    targets, removed = torch.tensor([0, 2]), torch.tensor([2, -1])
    first, _ = target_scores(torch.ones(2, 1), gallery, targets, removed).tolist()
    assert first == pytest.approx(1.0)


def test_equal_scores_tell_nothing() -> None:
    gallery = torch.full((5, 1), 0.3)
    assert target_scores(torch.ones(1, 1), gallery, torch.tensor([4]), None).tolist() == [0.0]


# A whole task: queries i ask with image i and text i for the image that has both.


def task_of(count: int) -> Task:
    names = [f"{kind}{n}" for kind in "rt" for n in range(count)]
    triplets = [Triplet(f"q{n}", f"r{n}", f"text {n}", f"t{n}") for n in range(count)]
    return Task("task", triplets, names, remove_reference=True)


def embeddings_of(task: Task, image: float, text: float) -> Embeddings:
    """Embed each image and each text in a direction of its own; a target is the sum of two."""
    count = len(task.triplets)
    axes = torch.eye(2 * count)
    gallery = torch.cat([axes[:count], normalize(axes[:count] + axes[count:], dim=1)])
    asked = [one for each in (task, *swapped_tasks([task])) for one in each.triplets]
    images = torch.stack([axes[int(one.reference[1:])] for one in asked])
    texts = torch.stack([axes[count + int(one.text.split()[1])] for one in asked])
    queries = normalize(image * images + text * texts, dim=1)
    rows = {one.id: row for row, one in enumerate(asked)}
    embeddings = make_embeddings(task_of(count), queries, gallery)
    return replace(embeddings, query_rows=rows, texts=texts)


def figures_of(image: float, text: float, references: bool = True) -> dict[str, float]:
    task = task_of(7)
    if not references:
        task = replace(task, gallery=task.gallery[7:])
    dataset = Judged({}, task.triplets)
    measured = measure_balance(embeddings_of(task, image, text), dataset, task)
    return {name: found.value for name, found in summarise_balance([measured]).figures.items()}


def test_each_query_is_swapped_with_two_others() -> None:
    task = task_of(6)
    image, text, neither = swapped_tasks([task])
    for own, by_image, by_text, by_none in zip(
        task.triplets, image.triplets, text.triplets, neither.triplets, strict=True
    ):
        assert (by_image.reference, by_text.text) == (own.reference, own.text)
        others = {by_image.text, by_text.text, by_none.text}
        assert by_image.text != own.text and by_text.reference != own.reference
        assert len({own.reference, by_none.reference}) == 2 and len(others) == 2
        # Image and text of nobody's query: not the same other's.
        assert by_none.reference[1:] != by_none.text.split()[1]
    for swapped in (image, text, neither):
        assert len({one.id for one in swapped.triplets}) == 6
        assert not swapped.gallery


def test_a_method_that_ignores_the_text_owes_it_nothing() -> None:
    found = figures_of(image=1, text=0)
    assert found["text_contribution"] == pytest.approx(0, abs=1e-9)
    assert found["image_share"] == pytest.approx(100)
    assert found["similarity_to_image"] == pytest.approx(1)
    assert found["reference_first"] == 100
    assert found["reference_rank"] == pytest.approx(1)


def test_a_method_that_ignores_the_image_owes_it_nothing() -> None:
    found = figures_of(image=0, text=1)
    assert found["image_contribution"] == pytest.approx(0, abs=1e-9)
    assert found["image_share"] == pytest.approx(0, abs=1e-6)
    assert found["text_answer_first"] == 100
    assert found["similarity_to_target"] == pytest.approx(math.sqrt(0.5))


def test_the_sum_owes_both_alike() -> None:
    # Without the references: they look like the images alone, and nothing looks like the texts.
    found = figures_of(image=1, text=1, references=False)
    assert found["image_share"] == pytest.approx(50)
    assert "reference_rank" not in found
    assert found["image_contribution"] == pytest.approx(found["text_contribution"])
    assert found["similarity_to_target"] == pytest.approx(1)
    assert set(found) <= set(LABELS)


def test_ranks_are_averaged_by_their_logarithm() -> None:
    measured = {name: column(1.0, 1.0) for name in ("image_contribution", "text_contribution")}
    found = summarise_balance([measured | {"reference_rank": column(2.0, 8.0)}]).figures
    assert found["reference_rank"].value == pytest.approx(4)  # sqrt(2 * 8)
    assert 2 <= found["reference_rank"].low <= found["reference_rank"].high <= 8


def test_a_share_of_nothing_is_skipped() -> None:
    measured = {"image_contribution": column(1.0, -1.0), "text_contribution": column(0.0, 0.0)}
    assert "image_share" not in summarise_balance([measured]).figures


def test_failures_have_a_side() -> None:
    # First results: right; nothing changed; all changed and half lost; as much missing of both.
    truth = {"t0": (1.0, 1.0), "t1": (0.0, 1.0), "t2": (1.0, 0.5), "t3": (0.5, 0.5)}
    task = task_of(4)
    dataset = Judged(truth, task.triplets)
    measured = measure_balance(embeddings_of(task, 1, 1), dataset, task)
    assert measured["kept_too_much"].tolist() == [0, 1, 0, 0]
    assert measured["changed_too_much"].tolist() == [0, 0, 1, 0]
    assert measured["missed_alike"].tolist() == [0, 0, 0, 1]


def test_too_few_queries_are_rejected() -> None:
    with pytest.raises(TMCIRError, match="task has 2 queries: balance takes"):
        swapped_tasks([task_of(2)])


def test_embeddings_without_texts_are_rejected() -> None:
    task = task_of(3)
    embeddings = replace(embeddings_of(task, 1, 1), texts=None)
    with pytest.raises(TMCIRError, match="lack those of the queries' texts"):
        measure_balance(embeddings, Judged({}, task.triplets), task)


def test_a_report_keeps_its_balance() -> None:
    task = task_of(5)
    dataset = Judged({}, task.triplets)
    embeddings = embeddings_of(task, 1, 1)
    balance = summarise_balance([measure_balance(embeddings, dataset, task)])
    dataset.tasks = lambda protocol=None: [task]  # type: ignore[method-assign]
    plain = score(embeddings, dataset)
    report = plain.with_balance(balance)
    assert Report.from_dict(report.as_dict()) == report
    assert "balance" not in plain.as_dict() and Report.from_dict(plain.as_dict()) == plain
    assert isinstance(report.balance, Balance)
    assert "share of the image in both, in percent" in str(report)
    assert "balance" not in str(plain)
