"""The quickstart from end to end, on a handful of garments and with a tiny model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands import run as command
from tests.tiny import build_model
from tmcir.evaluation import Metric, Part, Report
from tmcir.gallery import Gallery
from tmcir.models.loading import load
from tmcir.quickstart import Plan, QuickstartReport, quickstart
from tmcir.quickstart.answers import KINDS, answer, choose_queries
from tmcir.quickstart.figures import COLUMNS, table
from tmcir.quickstart.garments import write_garments
from tmcir.quickstart.run import PAGE
from tmcir.rendered.catalogue import RenderedCatalogue

pytestmark = pytest.mark.slow


class Listener:
    """A console that keeps the lines, and that can pull the plug at one of them."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.lines: list[str] = []
        self._stop_at = stop_at

    def print(self, line: str) -> None:
        self.lines.append(line)
        if self._stop_at is not None and line.startswith(self._stop_at):
            raise KeyboardInterrupt

    @contextmanager
    def progress(self, description: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None


def catalogue(root: Path | str = "nowhere") -> RenderedCatalogue:
    return RenderedCatalogue(root, "test", items=12, queries=4)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A minute's work made a second's; the editor is the shipped one."""
    model = tmp_path_factory.mktemp("tiny") / "model"
    build_model(catalogue()).save_pretrained(model)
    few = "dataset.options.items=24"
    return Plan(
        garments=40,
        queries=12,
        edits=12,
        training=(
            few,
            f"model.source={model}",
            "stages.align.batch_size=4",
            "stages.fuse.batch_size=4",
            "stages.fuse.epochs=1",
        ),
        generation=(
            few,
            "editor.steps=1",
            f"filters.scorer={model}",
            "filters.min_directional=-1",
            "filters.min_reference=-1",
            "filters.max_saturated=1",
            "filters.min_brightness=0",
        ),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> QuickstartReport:
    return quickstart(tmp_path_factory.mktemp("undisturbed"), Listener(), plan)


def test_leaves_a_model_a_gallery_and_a_page(undisturbed: QuickstartReport) -> None:
    page = undisturbed.page.read_text(encoding="utf-8")
    methods = [report.method for report in undisturbed.reports]
    assert methods == ["after", "before", "shipped", "image", "text"]
    before, after = (undisturbed.reports[row].score for row in (1, 0))
    value, low, high = undisturbed.gain
    assert value == pytest.approx(after - before, abs=1e-4) and low <= value <= high
    assert load(undisturbed.model).method == "gate"
    assert page.count("How the query was composed") >= 3
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/") >= 3 * 6


def test_the_model_is_aligned_on_pseudo_targets(undisturbed: QuickstartReport) -> None:
    card = (undisturbed.model / "README.md").read_text(encoding="utf-8")
    steps = dict(re.findall(r"^\| (\w+) \| (\d+) \|", card, re.MULTILINE))
    assert steps.keys() == {"align", "fuse"} and all(int(count) > 0 for count in steps.values())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_the_peak_memory_is_in_bytes(undisturbed: QuickstartReport) -> None:
    status = Path("/proc/self/status").read_text()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert 0.2 * 1024 * int(peak) < undisturbed.memory <= 1.01 * 1024 * int(peak)


def test_the_gallery_is_searched_from_the_command_line(
    undisturbed: QuickstartReport, capsys: pytest.CaptureFixture[str]
) -> None:
    filtered = ("--text", "a dress", "--where", "kind = 'dress'", "-k", "40")
    assert command("search", str(undisturbed.gallery), *filtered) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all("dress" in line for line in lines)


@pytest.mark.parametrize("step", ["3/6", "6/6"])
def test_goes_on_where_it_was_stopped(
    step: str, tmp_path: Path, plan: Plan, undisturbed: QuickstartReport
) -> None:
    with pytest.raises(KeyboardInterrupt):
        quickstart(tmp_path, Listener(stop_at=step), plan)
    assert not (tmp_path / PAGE).exists()
    report = quickstart(tmp_path, Listener(), plan)
    assert [one.overall for one in report.reports] == [one.overall for one in undisturbed.reports]
    assert report.page.read_text(encoding="utf-8") == undisturbed.page.read_text(encoding="utf-8")


def test_runs_without_an_editor_and_says_so(tmp_path: Path, plan: Plan) -> None:
    listener = Listener()
    other = replace(plan, generation=("editor.source=not-shipped",))
    report = quickstart(tmp_path, listener, other)
    assert any("ships no editor" in line for line in listener.lines)
    assert not (tmp_path / "pseudo-targets").exists()
    assert '"align": null' in (report.model / "README.md").read_text(encoding="utf-8")


def test_aligns_on_nothing_where_too_few_pass_the_filters(tmp_path: Path, plan: Plan) -> None:
    strict = replace(plan, generation=(*plan.generation, "filters.min_directional=1"))
    listener = Listener()
    quickstart(tmp_path, listener, strict)
    assert any("0 of 12 passed" in line for line in listener.lines)
    assert not any("aligning" in line for line in listener.lines)


def test_queries_are_the_first_of_their_kinds() -> None:
    garments = RenderedCatalogue("nowhere", "test", items=300, queries=300)
    chosen = choose_queries(garments)
    assert [query.kind for query in chosen] == list(KINDS)
    for query in chosen:
        assert query == next(one for one in garments.triplets if one.kind == query.kind)


def test_answers_name_no_reference_and_know_what_is_right(tmp_path: Path) -> None:
    garments = catalogue(tmp_path / "catalogue")
    names = garments.tasks()[0].gallery
    model = build_model(garments)
    gallery = Gallery.open(tmp_path / "gallery", model)
    gallery.add([garments.image_path(name) for name in names])
    for query in garments.triplets:
        found = answer(gallery, model, garments, query)
        assert len(found.hits) == 5
        assert found.reference.name not in [hit.id for hit in found.hits]
        right = {garments.image_path(name).name for name in query.answers}
        assert found.right == tuple(hit.id in right for hit in found.hits)


def test_garments_are_written_as_a_shop_would(tmp_path: Path) -> None:
    garments = catalogue(tmp_path / "catalogue")
    names = garments.tasks()[0].gallery
    write_garments(tmp_path / "garments.csv", garments, names)
    lines = (tmp_path / "garments.csv").read_text(encoding="utf-8").splitlines()
    garment = garments.garment_of(names[0])
    assert lines[0] == "image,title,kind,colour,pattern,sleeve,length,trimming,price"
    image, title, *attributes, price = lines[1].split(",")
    assert image == f"{names[0]}.jpg"
    assert title.lower().startswith(f"{garment.colour} {garment.kind}".lower())
    assert attributes[:3] == [garment.kind, garment.colour, garment.pattern]
    assert 9.9 <= float(price) <= 94.9
    assert len(lines) == 13


def test_table_lists_the_methods_in_columns() -> None:
    metrics = {name: Metric(10.0 + place, 0, 100) for place, name in enumerate(COLUMNS)}
    part = Part("all", queries=5, gallery=7, metrics=metrics)
    report = Report("rendered", "test", "rendered", "mini", "image", "mAP@10", part)
    head, line = table([report])
    assert head.split() == list(COLUMNS)
    assert line.split() == ["image", "only", "10.0", "11.0", "12.0", "13.0", "14.0"]


def test_a_file_in_the_way_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("mine")
    assert command("quickstart", "--folder", str(tmp_path / "taken")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert (tmp_path / "taken").read_text() == "mine"
