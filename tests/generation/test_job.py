"""Whole jobs on a tiny catalogue: what they write, and what kills, full disks and bad files do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from PIL import Image

from tests.generation.tiny_recipes import SIDE, generate_recipe
from tests.manifests import write_manifest
from tests.training.colours import Colours
from tmcir.core import files
from tmcir.core.errors import TMCIRError
from tmcir.data import settings
from tmcir.data.dataset import Dataset, Triplet
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.pseudo_targets import MANIFEST, SCHEMA, read_pseudo_targets
from tmcir.generation import GenerateReport, generate, job, load_editor, load_generate_recipe
from tmcir.runs.recipes import recipe_names

pytestmark = pytest.mark.slow

UNMEASURED = ("directional", "to_reference", "brightness", "saturated", "rejected_by")

Make = Callable[..., GenerateReport]


@pytest.fixture(scope="module")
def whole(
    catalogue: Path, trained: Path, towers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run, measured by a model; no test may change it."""
    path = tmp_path_factory.mktemp("whole") / "run.yaml"
    filters = {"scorer": str(towers), "min_directional": 0.02, "min_reference": 0.93}
    generate(load_generate_recipe(generate_recipe(path, catalogue, trained, filters=filters)))
    return path.with_suffix("")


@pytest.fixture
def make(catalogue: Path, trained: Path, tmp_path: Path) -> Make:
    """Make pseudo-targets in ``tmp_path / "run"``, by a recipe with some changes."""

    def make(
        *overrides: str,
        shard: tuple[int, int] = (1, 1),
        limit: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        root: Path = catalogue,
        **changes: Any,
    ) -> GenerateReport:
        path = generate_recipe(tmp_path / "run.yaml", root, trained, **changes)
        return generate(load_generate_recipe(path, overrides), shard, limit, progress)

    return make


def forbid_editors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no picture be drawn from here on."""

    def fail(settings: object) -> None:
        raise AssertionError("an editor was loaded")

    monkeypatch.setattr(job, "load_editor", fail)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / MANIFEST).to_pylist()
    return rows


def part_rows(folder: Path) -> list[str]:
    """Return the ids of all rows that have been written so far."""
    parts = sorted((folder / "parts").glob("[!.]*"))
    return [name for part in parts for name in pq.read_table(part)["id"].to_pylist()]


def made(folder: Path) -> list[dict[str, Any]]:
    """Return the rows without what depends on a model and on thresholds."""
    return [
        {key: value for key, value in row.items() if key not in UNMEASURED}
        for row in rows_of(folder)
    ]


def pictures(folder: Path) -> dict[str, np.ndarray]:
    """Return every picture on disk, by its name in the manifest."""
    found = [path for path in (folder / "images").rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): np.asarray(Image.open(path), dtype=int)
        for path in found
    }


def assert_same_pictures(folder: Path, other: Path) -> None:
    """See that no grey level differs by more than two: floats round by the size of a batch."""
    first, second = pictures(folder), pictures(other)
    assert first.keys() == {row["file"] for row in rows_of(folder)} <= second.keys()
    assert max(np.abs(first[name] - second[name]).max() for name in first) <= 2


def names_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def epoch(catalogue: Path, number: int = 0) -> dict[str, Triplet]:
    triplets = FashionProducts(catalogue, "train").training_triplets(number)
    return {triplet.id: triplet for triplet in triplets}


# What a run writes


def test_every_triplet_of_the_epoch_has_one_row_and_one_picture(
    whole: Path, catalogue: Path, trained: Path
) -> None:
    assert pq.read_schema(whole / MANIFEST).equals(SCHEMA)
    rows, triplets = rows_of(whole), epoch(catalogue)
    assert len(rows) == len(triplets) > 80
    assert {row["id"] for row in rows} == triplets.keys()
    for row in rows:
        triplet = triplets[row["id"]]
        assert (row["reference"], row["target"]) == (triplet.reference, triplet.target)
        assert row["kind"] == triplet.kind and row["text"] in triplet.training_texts
        assert row["editor"] == str(trained)
        assert json.loads(row["settings"]) == {
            "steps": 2,
            "guidance": 7.5,
            "image_guidance": 1.5,
            "prompt": "{text}",
            "fit": "crop",
            "size": SIDE,
            "precision": "float32",
        }
        assert 0 <= row["seed"] < 2**63
        with Image.open(whole / row["file"]) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIDE, SIDE))
        assert row["file"].startswith("images/") and -1 <= row["directional"] <= 1
        assert -1 <= row["to_reference"] <= 1 and 0 < row["brightness"] < 1
    assert len({row["seed"] for row in rows}) == len({row["file"] for row in rows}) == len(rows)
    # Texts of a kind are drawn, not always the same one.
    assert len({row["text"] for row in rows}) > 20


def test_a_folder_holds_nothing_that_is_not_accounted_for(whole: Path) -> None:
    known = {row["file"] for row in rows_of(whole)} | {
        MANIFEST,
        "recipe.json",
        "pseudo-targets.html",
        ".1-of-1.lock",
        ".manifest.lock",
    }
    parts = {f"parts/1-of-1_{number:06d}.parquet" for number in range(2)}
    assert names_below(whole) == known | parts
    assert json.loads((whole / "recipe.json").read_text())["name"] == "tiny-pseudo-targets"


def test_a_row_says_all_that_its_picture_takes(whole: Path, catalogue: Path) -> None:
    recipe = load_generate_recipe(whole.with_suffix(".yaml"))
    editor = load_editor(recipe.editor, device="cpu")
    for row in rows_of(whole)[:5]:
        reference = Image.open(catalogue / "images" / f"{row['reference']}.jpg")
        (again,) = editor.edit([reference], [row["text"]], [row["seed"]])
        assert (
            np.abs(np.asarray(again, int) - np.asarray(Image.open(whole / row["file"]))).max() <= 2
        )
        (other,) = editor.edit([reference], [row["text"]], [row["seed"] + 1])
        assert np.abs(np.asarray(again, int) - np.asarray(other)).max() > 10


def test_the_report_counts_what_rejected_by_each_filter(make: Make, towers: Path) -> None:
    filters = {"scorer": str(towers), "min_directional": 0.02, "min_reference": 0.93}
    report = make(filters=filters)
    rows = rows_of(report.folder)
    rejected = [row["rejected_by"] for row in rows]
    assert report.rejected == {name: rejected.count(name) for name in set(rejected) - {""}}
    assert set(report.rejected) == {"directional", "reference"}
    assert report.kept == rejected.count("") > 0
    assert report.made == len(rows) and report.seconds > 0 and report.skipped == []
    for row in rows:
        low = row["directional"] < 0.02, row["to_reference"] < 0.93
        expected = "directional" if low[0] else "reference" if low[1] else ""
        assert row["rejected_by"] == expected
    lines = str(report).splitlines()
    assert f"{len(rows)} pseudo-targets, {len(rows)} of them made now" in lines[0]
    assert lines[1].split() == ["kept", str(report.kept)]
    assert lines[2].split() == [
        "rejected",
        "by",
        "directional",
        str(report.rejected["directional"]),
    ]
    assert lines[3].split() == ["rejected", "by", "reference", str(report.rejected["reference"])]
    assert str(report.folder / "pseudo-targets.html") in lines[4]
    assert len(read_pseudo_targets(report.folder)) == report.kept
    assert len(read_pseudo_targets(report.folder, kept_only=False)) == len(rows)


def test_without_a_scorer_nothing_is_said_of_similarity(make: Make) -> None:
    report = make(limit=10)
    assert all(row["directional"] is row["to_reference"] is None for row in rows_of(report.folder))
    assert (report.kept, report.rejected) == (10, {})


def test_the_page_shows_each_example_beside_its_reference_and_its_real_target(
    whole: Path, make: Make
) -> None:
    page = (whole / "pseudo-targets.html").read_text()
    assert page.count("<li>") == 40
    for caption in ("reference", "pseudo-target", "real target"):
        assert page.count(f'alt="{caption}"') == page.count(f"<figcaption>{caption}<") == 40
    rows = rows_of(whole)
    counts = {
        name: [row["rejected_by"] for row in rows].count(name) for name in ("", "directional")
    }
    assert f"{len(rows)} made by" in page and f"{counts['']} kept" in page
    assert f"{counts['directional']} rejected by directional" in page
    texts = [part.split("</p>")[0] for part in page.split('<p class="text">')[1:]]
    assert len(texts) == 40 and {row["text"] for row in rows} >= set(texts)
    few = make(limit=3).folder / "pseudo-targets.html"
    assert few.read_text().count("<li>") == 3


def test_jpeg_is_smaller_than_png_and_as_good(make: Make, whole: Path) -> None:
    folder = make(image_format="jpeg", limit=20).folder
    exact = pictures(whole)
    for name, picture in pictures(folder).items():
        assert name.endswith(".jpg")
        with Image.open(folder / name) as image:
            assert image.format == "JPEG"
        assert np.abs(picture - exact[name.replace(".jpg", ".png")]).mean() < 15
    assert {row["file"] for row in rows_of(folder)} == pictures(folder).keys()


def test_queries_of_another_split_are_edited_as_well(make: Make, catalogue: Path) -> None:
    dataset = {"options": {"queries": 7}}
    folder = make(split="test", draws=3, dataset=dataset).folder
    triplets = FashionProducts(catalogue, "test", queries=7).triplets
    assert [row["id"] for row in rows_of(folder)] == [triplet.id for triplet in triplets]


@pytest.mark.parametrize("name", recipe_names("generate"))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_generate_recipe(name)
    assert recipe.name == name and recipe.description


# The same pictures, however they are made


@pytest.mark.parametrize("size", [1, 7, 200])
def test_pictures_do_not_depend_on_the_batch_size(size: int, make: Make, whole: Path) -> None:
    folder = make(batch_size=size, limit=30).folder
    assert made(folder) == made(whole)[:30]
    assert_same_pictures(folder, whole)


def test_shards_make_together_what_one_run_makes(make: Make, whole: Path) -> None:
    reports = [make(shard=(number, 3)) for number in (1, 3, 2)]
    folder = reports[0].folder
    assert made(folder) == made(whole)
    assert_same_pictures(folder, whole)
    ids = part_rows(folder)
    assert len(ids) == len(set(ids)) == sum(report.made for report in reports)
    # About equal: 33 expected of 100, with a standard deviation of 5.
    assert all(15 <= report.made <= 55 for report in reports)
    # Each shard's report is of the whole folder as it stands.
    assert [report.kept for report in reports[:2]] == [
        reports[0].made,
        reports[0].made + reports[1].made,
    ]
    assert {path.name.split("_")[0] for path in (folder / "parts").iterdir()} == {
        "1-of-3",
        "2-of-3",
        "3-of-3",
    }


def test_more_machines_may_join_later(make: Make, whole: Path) -> None:
    make(limit=20)
    make(shard=(1, 2))
    report = make(shard=(2, 2))
    ids = part_rows(report.folder)
    assert len(ids) == len(set(ids))
    assert made(report.folder) == made(whole)


def test_a_limit_makes_the_first_ones_and_a_later_run_the_rest(make: Make, whole: Path) -> None:
    order = [row["id"] for row in rows_of(whole)]
    first = make(limit=5)
    assert first.made == 5
    assert [row["id"] for row in rows_of(first.folder)] == order[:5]
    assert make(limit=5).made == 0
    assert make(limit=8).made == 3
    assert [row["id"] for row in rows_of(first.folder)] == order[:8]
    assert make().made == len(order) - 8
    assert made(first.folder) == made(whole)
    assert_same_pictures(first.folder, whole)


def test_a_picture_that_was_removed_is_made_again(make: Make, whole: Path) -> None:
    first = make(limit=4)
    gone = first.folder / rows_of(first.folder)[2]["file"]
    gone.unlink()
    assert make(limit=4).made == 1
    assert gone.read_bytes() == (whole / gone.relative_to(first.folder)).read_bytes()
    assert len(rows_of(first.folder)) == 4


def test_a_limit_counts_within_the_shard(make: Make) -> None:
    assert make(shard=(2, 3), limit=4).made == 4
    assert make(shard=(3, 3), limit=4).made == 4


def test_seeds_are_the_same_in_every_process_and_follow_the_recipe(make: Make, whole: Path) -> None:
    # The first 8 bytes of BLAKE2b of "0 ID", without the last bit.
    seeds = {row["id"]: row["seed"] for row in rows_of(whole)}
    assert seeds["163-117"] == 6977172229445045855
    folder = make(seed=1, limit=30).folder
    others = {row["id"]: row["seed"] for row in rows_of(folder)}
    assert not set(others.values()) & set(seeds.values())
    assert others.keys() != set(list(seeds)[:30])  # other pairs, too
    texts = {row["id"]: row["text"] for row in rows_of(whole)}
    shared = [row for row in rows_of(folder) if row["id"] in texts]
    assert sum(row["text"] != texts[row["id"]] for row in shared) > len(shared) / 2 > 0


def test_further_draws_add_triplets_and_change_none(
    make: Make, whole: Path, catalogue: Path
) -> None:
    folder = make(draws=2).folder
    expected = epoch(catalogue).keys() | epoch(catalogue, 1).keys()
    rows = {row["id"]: row for row in made(folder)}
    assert rows.keys() == expected and len(rows) == len(made(folder)) > len(epoch(catalogue))
    assert all(rows[row["id"]] == row for row in made(whole))


# Resuming


def test_a_finished_run_is_left_as_it_is(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(limit=20).folder
    before = {name: (folder / name).stat().st_mtime_ns for name in pictures(folder)}
    manifest = (folder / MANIFEST).read_bytes()
    forbid_editors(monkeypatch)
    report = make(limit=20)
    assert (report.made, report.kept) == (0, 20)
    assert {name: (folder / name).stat().st_mtime_ns for name in pictures(folder)} == before
    assert (folder / MANIFEST).read_bytes() == manifest


KILLED = """
import os, signal, sys, tempfile
from tmcir.generation import generate, job, load_generate_recipe
job.PART_ROWS = 8
recipe, word, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
make, sync, seen = tempfile.mkstemp, os.fsync, []

def mkstemp(*, prefix, **rest):
    seen.append(prefix)
    return make(prefix=prefix, **rest)

def fsync(descriptor):
    if word in seen[-1] and sum(word in name for name in seen) == number:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)

tempfile.mkstemp, os.fsync = mkstemp, fsync
generate(load_generate_recipe(recipe))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_run_goes_on_without_loss_or_duplicates(
    make: Make, whole: Path, tmp_path: Path
) -> None:
    make(limit=1, batch_size=4)  # writes the recipe
    folder = tmp_path / "run"
    # In the middle of the 13th picture, of the second part, and of the manifest.
    total = len(rows_of(whole))
    for word, number, rows in ((".png.", 13, 9), (".1-of-1_", 2, 17), ("manifest", 1, total)):
        finished = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "run.yaml"), word, str(number)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
        )
        assert finished.returncode == -signal.SIGKILL, finished.stderr.decode()[-2000:]
        ids = part_rows(folder)
        assert len(ids) == len(set(ids)) == rows
        assert len(pictures(folder)) >= rows
        assert [row["id"] for row in rows_of(folder)] == [rows_of(whole)[0]["id"]]
        # The file that was being written is there, under a name of its own.
        assert [name for name in names_below(folder) if word in name and ".lock" not in name]
    report = make(batch_size=4)
    assert report.made == 0 and made(folder) == made(whole)
    assert_same_pictures(folder, whole)
    known = {row["file"] for row in rows_of(folder)} | {MANIFEST, "recipe.json", job.PAGE}
    left = {name for name in names_below(folder) if not name.endswith((".lock", ".parquet"))}
    assert left == known - {MANIFEST}


def test_progress_counts_what_was_there_before(make: Make) -> None:
    calls: list[tuple[int, int]] = []
    make(limit=6, batch_size=4, progress=lambda *call: calls.append(call))
    assert calls == [(4, 6), (6, 6)]
    make(limit=9, batch_size=4, progress=lambda *call: calls.append(call))
    assert calls[2:] == [(9, 9)]


def test_rows_are_written_now_and_then(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "PART_SECONDS", 0.0)
    folder = make(limit=9, batch_size=2).folder
    sizes = [pq.read_table(part).num_rows for part in sorted((folder / "parts").iterdir())]
    assert sizes == [2, 2, 2, 2, 1]
    monkeypatch.setattr(job, "PART_SECONDS", 1e9)
    monkeypatch.setattr(job, "PART_ROWS", 3)
    make(limit=16, batch_size=2)
    sizes = [pq.read_table(part).num_rows for part in sorted((folder / "parts").iterdir())]
    assert sizes[5:] == [4, 3]


def test_an_interrupt_keeps_what_is_made(make: Make, whole: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(batch_size=4, progress=interrupt)
    assert part_rows(tmp_path / "run") == [row["id"] for row in rows_of(whole)[:8]]


@pytest.mark.parametrize("room", [0, 5, 13])
def test_a_full_disk_keeps_what_is_written(
    room: int, make: Make, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for ``room`` pictures; rows still fit, as they are small."""
    write, count = files.write_bytes, 0

    def full(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count > room:
            raise TMCIRError(f"{path}: cannot be written: No space left on device")
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(job, "write_bytes", full)
        with pytest.raises(TMCIRError, match="No space left on device"):
            make(batch_size=4, limit=20)
    whole_batches = room // 4 * 4
    assert len(part_rows(tmp_path / "run")) == whole_batches
    assert not (tmp_path / "run" / MANIFEST).exists()
    report = make(batch_size=4, limit=20)
    assert report.made == 20 - whole_batches
    assert made(report.folder) == made(whole)[:20]
    assert_same_pictures(report.folder, whole)


def test_a_disk_on_which_nothing_fits_is_said_in_a_line(
    make: Make, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, count = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > 10:  # neither the rest of the pictures nor their rows
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TMCIRError, match=r"cannot be written: No space left") as caught:
            make(limit=20)
    assert "\n" not in str(caught.value)
    assert not any(name.endswith(".parquet") for name in names_below(tmp_path / "run"))
    folder = make(limit=20).folder
    assert made(folder) == made(whole)[:20]
    assert_same_pictures(folder, whole)


def test_a_shard_is_at_work_in_one_process_at_a_time(make: Make) -> None:
    said: list[str] = []

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(TMCIRError) as caught:
            make(shard=(1, 2), limit=3)
        said.append(str(caught.value))
        assert make(shard=(2, 2), limit=3).made == 3

    folder = make(shard=(1, 2), limit=3, progress=meanwhile).folder
    assert said == [f"{folder}: another process is running shard 1/2"]
    assert len(rows_of(folder)) == 6


def test_other_thresholds_judge_again_and_draw_nothing(
    make: Make, towers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = {"scorer": str(towers), "min_directional": -1.0, "min_reference": -1.0}
    report = make(limit=40, filters=scorer)
    assert (report.kept, report.rejected) == (40, {})
    forbid_editors(monkeypatch)
    middle = sorted(row["to_reference"] for row in rows_of(report.folder))[20]
    report = make(limit=40, filters={**scorer, "min_reference": middle}, batch_size=3)
    assert (report.made, report.kept, report.rejected) == (0, 20, {"reference": 20})
    assert len(read_pseudo_targets(report.folder)) == 20
    report = make(limit=40, filters={**scorer, "min_brightness": 1.0, "max_saturated": 0.0})
    assert (report.made, report.kept, report.rejected) == (0, 0, {"dark": 40})
    report = make(limit=40, filters=scorer)
    assert (report.kept, report.rejected) == (40, {})


def test_other_settings_are_rejected(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(limit=2).folder
    before = names_below(folder)
    forbid_editors(monkeypatch)
    others = ("editor.steps=3", "seed=1", "image_format=jpeg", "draws=2", "filters.scorer=other")
    for override in (*others, "dataset.options={seed: 1}", "name=other"):
        with pytest.raises(TMCIRError, match="holds a run with other settings") as caught:
            make(override, limit=4)
        assert str(folder) in str(caught.value)
    assert names_below(folder) == before


def test_a_damaged_part_is_named_and_made_again_once_it_is_removed(
    make: Make, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "PART_ROWS", 8)
    folder = make(limit=20, batch_size=8).folder
    part = folder / "parts" / "1-of-1_000001.parquet"
    content = part.read_bytes()
    for damaged in (b"", b"not Parquet", content[: len(content) // 2]):
        part.write_bytes(damaged)
        with pytest.raises(TMCIRError, match="damaged") as caught:
            make(limit=20, batch_size=8)
        assert str(part) in str(caught.value) and "\n" not in str(caught.value)
    part.unlink()
    assert make(limit=20, batch_size=8).made == 8
    assert made(folder) == made(whole)[:20]


# What cannot be edited


def draw_shop(root: Path) -> Path:
    """Write four triplets: one reference is broken, and one is missing."""
    root.mkdir()
    for number, name in enumerate(("a", "b", "c", "d")):
        Image.new("RGB", (20, 20), (60 * number, 90, 200)).save(root / f"{name}.png")
    lines = [
        {
            "id": name,
            "reference": f"{name}.png",
            "text": "<b>in red</b> & \u201cblue\u201d",
            "target": target,
        }
        for name, target in (("a", "b.png"), ("b", "c.png"), ("c", "d.png"), ("d", "gone.png"))
    ]
    (root / "triplets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "b.png").write_bytes(b"not an image")
    (root / "c.png").unlink()
    return root


SHOP = {"dataset": {"name": "jsonl"}, "split": "all", "batch_size": 2}


def test_broken_and_missing_references_are_skipped_until_they_are_mended(
    make: Make, tmp_path: Path
) -> None:
    root = draw_shop(tmp_path / "shop")
    calls: list[tuple[int, int]] = []
    report = make(root=root, progress=lambda *call: calls.append(call), **SHOP)
    assert [row["id"] for row in rows_of(report.folder)] == ["a", "d"]
    assert report.made == 2 and calls[-1] == (4, 4)
    (first, broken), (second, missing) = report.skipped
    assert (first, second) == ("b", "c")
    assert f"{root / 'b.png'}: not an image" in broken and "no image 'c.png'" in missing
    assert "2 skipped" in str(report)

    Image.new("RGB", (20, 20), "red").save(root / "b.png")
    report = make(root=root, **SHOP)
    assert (report.made, [name for name, _ in report.skipped]) == (1, ["c"])
    Image.new("RGB", (20, 20), "red").save(root / "c.png")
    report = make(root=root, **SHOP)
    assert (report.made, report.skipped, report.kept) == (1, [], 4)
    assert [row["id"] for row in rows_of(report.folder)] == ["a", "b", "c", "d"]


def test_a_page_of_anyones_texts_and_images_is_safe(make: Make, tmp_path: Path) -> None:
    folder = make(root=draw_shop(tmp_path / "shop"), **SHOP).folder
    page = (folder / job.PAGE).read_text()
    assert "&lt;b&gt;in red&lt;/b&gt; &amp; \u201cblue\u201d" in page and "<b>" not in page
    # The target of a is broken, and that of d is missing.
    assert page.count("no image") == 2 and page.count("data:image/jpeg;base64,") == 4
    assert "<script" not in page and "default-src 'none'" in page


def test_a_text_that_asks_for_nothing_is_skipped(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triplets = [Triplet("1", "a", "in red"), Triplet("2", "b", " \n"), Triplet("3", "c", "bigger")]

    def opened(*arguments: object, **options: object) -> Dataset:
        return Colours(tmp_path, triplets)

    monkeypatch.setattr(settings, "open_dataset", opened)
    report = make()
    assert report.skipped == [("2", "its text is empty: it asks for no change")]
    rows = rows_of(report.folder)
    assert sorted((row["id"], row["text"], row["target"]) for row in rows) == [
        ("1", "in red", None),
        ("3", "bigger", None),
    ]
    assert (report.folder / job.PAGE).read_text().count("no image") == 2


def test_a_run_that_could_make_nothing_says_so(make: Make, tmp_path: Path) -> None:
    root = draw_shop(tmp_path / "shop")
    for name in ("a", "d"):
        (root / f"{name}.png").write_bytes(b"broken")
    report = make(root=root, **SHOP)
    assert (report.made, report.kept, len(report.skipped)) == (0, 0, 4)
    assert "0 pseudo-targets" in str(report)
    assert rows_of(report.folder) == [] and (report.folder / job.PAGE).exists()
    assert read_pseudo_targets(report.folder) == []


# Mistakes


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, 2)])
def test_a_shard_that_is_none_is_an_error(shard: tuple[int, int], make: Make) -> None:
    with pytest.raises(TMCIRError, match="write i/n with i from 1 to n"):
        make(shard=shard)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("editor.source=nobody/nothing", "neither a shipped editor"),
        ("editor.strength=0.5", r"editor\.strength: .* has no such setting"),
        ("filters.scorer=./nothing", "no such model directory"),
        ("split=trian", "did you mean 'train'"),
        ("dataset.root=nothing", "no such folder"),
    ],
)
def test_a_mistake_does_not_leave_the_folder_to_a_wrong_recipe(
    override: str, problem: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TMCIRError, match=problem) as caught:
        make(override)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "recipe.json").exists()
    assert make(limit=1).made == 1


# The manifest, as others read it


def test_a_manifest_is_read_in_its_own_order(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"file": "images/b.png"}, {"file": "images/a.png"})
    rows = read_pseudo_targets(tmp_path)
    assert [(row.id, row.file) for row in rows] == [
        ("0", tmp_path / "images" / "b.png"),
        ("1", tmp_path / "images" / "a.png"),
    ]


@pytest.mark.parametrize("file", ["../other.png", "/etc/passwd", "images/../../other.png"])
def test_a_manifest_that_names_files_elsewhere_is_rejected(file: str, tmp_path: Path) -> None:
    write_manifest(tmp_path, {"file": "images/a.png"}, {"file": file})
    with pytest.raises(TMCIRError, match="names a file outside of its folder") as caught:
        read_pseudo_targets(tmp_path)
    assert repr(file) in str(caught.value)


def test_a_manifest_that_is_not_there_or_not_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"no manifest\.parquet; `tmcir generate` writes it"):
        read_pseudo_targets(tmp_path / "nothing")
    (tmp_path / MANIFEST).write_bytes(b"not Parquet")
    with pytest.raises(TMCIRError, match="not a manifest of pseudo-targets") as caught:
        read_pseudo_targets(tmp_path)
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / MANIFEST)
    with pytest.raises(TMCIRError, match="not a manifest of pseudo-targets"):
        read_pseudo_targets(tmp_path)
