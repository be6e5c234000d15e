"""changed@10 and kept@10: by hand, against a plain sort, and on datasets that know the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from tests.evaluation.fake import make_embeddings
from tests.tiny import draw_catalogue
from tmcir.core.errors import TMCIRError
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.mixed import Mixed
from tmcir.data.products import KINDS
from tmcir.evaluation import Embeddings, Report, score
from tmcir.evaluation.intent import measure_intent
from tmcir.rendered.catalogue import RenderedCatalogue

Truth = dict[str, tuple[float, float]]

FIGURES = ["changed@10", "kept@10"]
# One query [1]; a gallery embedding [s] then has the score s.
QUERY = torch.ones(1, 1)


class Judged(Dataset):
    """Images whose (changed, kept) are given; those that are not given cannot be judged."""

    name = "judged"
    protocols = ("fashion200k",)

    def __init__(self, truth: Truth, triplets: Sequence[Triplet]) -> None:
        self.root, self.split = Path("nowhere"), "test"
        self.truth = truth
        self.triplets = triplets
        self.asked: list[tuple[str, str]] = []

    def tasks(self, protocol: str | None = None) -> list[Task]:
        return [Task(self.name, self.triplets, ["r", *self.truth], remove_reference=True)]

    def find_image(self, name: str) -> Path | None:
        return None

    def can_judge(self, name: str) -> bool:
        return name in self.truth

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        self.asked.append((triplet.id, name))
        return Judgement(*self.truth[name])


def measure(dataset: Dataset, scores: dict[str, float], remove: bool = True) -> tuple[float, float]:
    task = Task("task", dataset.triplets, list(scores), remove_reference=remove)
    found = measure_intent(dataset, task, QUERY, torch.tensor(list(scores.values()))[:, None])
    assert list(found) == FIGURES
    return found["changed@10"].item(), found["kept@10"].item()


def one_query(truth: Truth) -> Judged:
    return Judged(truth, [Triplet("q", "r", "text", "t")])


# Golden values, worked out by hand


def test_the_mean_of_the_first_ten_counts() -> None:
    # Places 1 to 3 show what was asked, 4 to 10 do not; place 1 lost half of the rest, and the
    # eleventh, which is perfect, comes too late.
    truth = {"0": (1.0, 0.5), "1": (1.0, 1.0), "2": (1.0, 1.0)}
    truth |= {str(place): (0.0, 1.0) for place in range(3, 10)} | {"10": (1.0, 1.0)}
    changed, kept = measure(one_query(truth), {name: -float(name) for name in truth})
    assert changed == pytest.approx(3 / 10)
    assert kept == pytest.approx((0.5 + 9) / 10)


def test_the_two_sides_of_an_error_are_told_apart() -> None:
    # An image like the reference but for nothing, and one that is only what was asked for.
    scores = {"r": 3.0, "a": 2.0, "b": 1.0}
    assert measure(one_query({"a": (0.0, 1.0), "b": (0.0, 1.0)}), scores) == (0.0, 1.0)
    assert measure(one_query({"a": (1.0, 0.25), "b": (1.0, 0.25)}), scores) == (1.0, 0.25)


def test_what_cannot_be_judged_has_no_place() -> None:
    # x and y are ranked first; ten others are judged all the same: (9 * 1 + 0.5) / 10.
    truth = {str(place): (1.0, 1.0) for place in range(9)} | {"9": (0.5, 0.0), "10": (0.0, 0.0)}
    scores = {"x": 9.0, "y": 8.0} | {name: -float(name) for name in truth}
    assert measure(one_query(truth), scores) == pytest.approx((0.95, 0.9))


def test_the_reference_leaves_where_the_task_says_so() -> None:
    truth = {"r": (0.0, 1.0), "a": (1.0, 0.0)}
    scores = {"r": 2.0, "a": 1.0}
    assert measure(one_query(truth), scores, remove=True) == (1.0, 0.0)
    assert measure(one_query(truth), scores, remove=False) == (0.5, 0.5)


def test_ties_are_broken_by_gallery_order() -> None:
    truth = {str(place): (float(place < 10), 0.0) for place in range(12)}
    assert measure(one_query(truth), dict.fromkeys(truth, 1.0)) == (1.0, 0.0)
    assert measure(one_query(truth), dict.fromkeys([*truth][::-1], 1.0))[0] == pytest.approx(0.8)


def test_only_the_results_are_judged() -> None:
    truth = {str(place): (0.0, 0.0) for place in range(100)}
    dataset = one_query(truth)
    measure(dataset, {name: -float(name) for name in truth})
    assert dataset.asked == [("q", str(place)) for place in range(10)]


def test_a_query_without_a_judged_result_is_named() -> None:
    with pytest.raises(TMCIRError, match="query q of judged has no result that can be judged"):
        measure(one_query({"r": (0.0, 0.0)}), {"r": 1.0, "x": 0.5})


# Against a plain sort


@given(st.data())
def test_measures_equal_a_plain_sort(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 25))
    names = ["r", *map(str, range(count - 1))]
    shares = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    known = data.draw(st.sets(st.sampled_from(names[1:]), min_size=1))
    truth = {name: data.draw(st.tuples(shares, shares)) for name in sorted(known)}
    queries = data.draw(st.integers(1, 4))
    triplets = [
        Triplet(str(number), data.draw(st.sampled_from(["r", "elsewhere"])), "text", "t")
        for number in range(queries)
    ]
    # Small whole numbers: most scores tie.
    row_of_scores = st.lists(st.integers(-2, 2), min_size=count, max_size=count)
    table = [data.draw(row_of_scores) for _ in triplets]
    gallery = torch.tensor(table).float().T  # [G, Q]: query i is the i-th unit vector
    dataset, task = Judged(truth, triplets), Task("task", triplets, names, remove_reference=True)
    found = measure_intent(dataset, task, torch.eye(queries), gallery)
    for row, triplet in enumerate(triplets):
        expected = slow_intent(truth, triplet, names, table[row])
        assert (found["changed@10"][row].item(), found["kept@10"][row].item()) == pytest.approx(
            expected
        )


def slow_intent(
    truth: Truth, triplet: Triplet, names: list[str], scores: list[int]
) -> tuple[float, float]:
    ranking = sorted(range(len(names)), key=lambda place: (-scores[place], place))
    shown = [names[p] for p in ranking if names[p] in truth and names[p] != triplet.reference][:10]
    changed = [truth[name][0] for name in shown]
    kept = [truth[name][1] for name in shown]
    return sum(changed) / len(shown), sum(kept) / len(shown)


# In reports


def test_a_dataset_that_cannot_judge_has_no_such_figures() -> None:
    triplets = [Triplet("q", "r", "text", "a")]
    dataset = Judged({}, triplets)
    task = Task("task", triplets, ["r", "a"], remove_reference=True)
    assert measure_intent(dataset, task, QUERY, torch.ones(2, 1)) == {}
    with pytest.raises(TMCIRError, match="judged: the attributes of image 'a' are not known"):
        Dataset.judge(dataset, triplets[0], "a")


def test_no_queries_give_no_values() -> None:
    task = Task("task", [], ["a"], remove_reference=True)
    found = measure_intent(one_query({"a": (1.0, 1.0)}), task, QUERY[:0], QUERY)
    assert [len(values) for values in found.values()] == [0, 0]


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> FashionProducts:
    return FashionProducts(draw_catalogue(tmp_path_factory.mktemp("c") / "p", 600), queries=80)


def encode_captions(
    dataset: FashionProducts, names: Sequence[str], without: Sequence[int]
) -> Tensor:
    """Embed images by their captions, float32 [N, D]: equal attributes have equal parts.

    ``without`` is the attribute that a row leaves out, -1 for none.
    """
    values = sorted({(k, v) for item in dataset.items for k, v in enumerate(item.caption or ())})
    rows = torch.zeros(len(names), len(values))
    for row, name in enumerate(names):
        for kind, value in enumerate(dataset.caption_of(name) or ()):
            if kind != without[row]:
                rows[row, values.index((kind, value))] = 1
    return rows


def report_of(dataset: FashionProducts, queries: Tensor) -> Report:
    (task,) = dataset.tasks()
    gallery = encode_captions(dataset, task.gallery, [-1] * len(task.gallery))
    normalised = normalize(queries, dim=1)
    return score(make_embeddings(task, normalised, normalize(gallery, dim=1)), dataset)


def test_following_image_or_text_alone_shows_in_one_number(products: FashionProducts) -> None:
    triplets = products.triplets
    asked = [KINDS.index(triplet.kind) for triplet in triplets]
    references = [triplet.reference for triplet in triplets]
    targets = [triplet.target or "" for triplet in triplets]
    nothing = [-1] * len(triplets)
    image = encode_captions(products, references, nothing)
    perfect = encode_captions(products, targets, nothing)
    text = perfect - encode_captions(products, targets, asked)  # the new value, and nothing else
    by_image, by_text, right = (
        [report_of(products, found).overall.metrics[name].value for name in FIGURES]
        for found in (image, text, perfect)
    )
    assert by_text[0] == 100
    assert by_image[0] < 50 < right[0]
    assert by_text[1] < 60 < min(by_image[1], right[1])
    assert sum(right) > max(sum(by_image), sum(by_text))


def test_figures_are_in_every_part_with_intervals(products: FashionProducts) -> None:
    report = report_of(
        products, encode_captions(products, [t.reference for t in products.triplets], [-1] * 80)
    )
    assert list(report.overall.metrics) == ["R@1", "R@10", "R@50", *FIGURES]
    assert {part.name for part in report.parts} == {t.kind for t in products.triplets}
    for part in (*report.parts, report.overall):
        for name in FIGURES:
            metric = part.metrics[name]
            assert 0 <= metric.low <= metric.value <= metric.high <= 100
    assert Report.from_dict(report.as_dict()) == report
    assert "kept@10" in str(report)


def test_the_rendered_catalogue_has_a_protocol_of_its_own(tmp_path: Path) -> None:
    dataset = RenderedCatalogue(tmp_path, items=200, queries=50)
    (task,) = dataset.tasks()
    generator = torch.Generator().manual_seed(0)
    queries = normalize(torch.randn(50, 8, generator=generator), dim=1)
    gallery = normalize(torch.randn(200, 8, generator=generator), dim=1)
    report = score(make_embeddings(task, queries, gallery), dataset)
    assert (report.protocol, report.headline) == ("rendered", "mAP@10")
    assert list(report.overall.metrics) == ["R@1", "R@10", "R@50", "mAP@10", *FIGURES]
    assert {part.name for part in report.parts} == {t.kind for t in dataset.triplets}
    assert not any(tmp_path.iterdir())  # nothing is drawn to judge a result


def test_a_mixture_averages_its_parts(tmp_path: Path) -> None:
    draw_catalogue(tmp_path / "products")
    parts = [
        {"name": "rendered", "root": "drawn", "options": {"items": 80, "queries": 20}},
        {"name": "fashion-products", "root": "products", "options": {"queries": 30}},
    ]
    mixed = Mixed(tmp_path, parts=parts)
    names, queries = mixed.image_names(), [triplet.id for triplet in mixed.triplets]
    generator = torch.Generator().manual_seed(0)
    embeddings = Embeddings(
        images=torch.randn(len(names), 8, generator=generator),
        image_rows={name: row for row, name in enumerate(names)},
        queries=torch.randn(len(queries), 8, generator=generator),
        query_rows={name: row for row, name in enumerate(queries)},
    )
    report = score(embeddings, mixed)
    assert [part.name for part in report.parts] == ["rendered", "fashion-products"]
    assert [part.queries for part in report.parts] == [20, 30]
    assert report.overall.name == "average"
    assert list(report.overall.metrics) == ["R@1", "R@10", "R@50", *FIGURES]
    values = [part.metrics["kept@10"].value for part in report.parts]
    assert report.overall.metrics["kept@10"].value == pytest.approx(sum(values) / 2)
