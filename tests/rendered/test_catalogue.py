"""The rendered catalogue as a dataset, against a plain search over all items."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tmcir.core.errors import ImageError, TMCIRError
from tmcir.data.dataset import Judgement
from tmcir.rendered import photos
from tmcir.rendered.catalogue import MANIFEST, SEVERAL, SPLITS, RenderedCatalogue
from tmcir.rendered.changes import Change
from tmcir.rendered.garment import Garment
from tmcir.rendered.vocabulary import ATTRIBUTES

ITEMS, QUERIES = 240, 60


@pytest.fixture(scope="module")
def test_split(tmp_path_factory: pytest.TempPathFactory) -> RenderedCatalogue:
    root = tmp_path_factory.mktemp("rendered")
    return RenderedCatalogue(root, "test", items=ITEMS, queries=QUERIES, image_size=32)


def open_small(
    root: Path, split: str = "test", seed: int = 0, items: int = 12
) -> RenderedCatalogue:
    return RenderedCatalogue(root, split, seed, items=items, queries=8, image_size=32)


# Queries


def test_counts(test_split: RenderedCatalogue) -> None:
    (task,) = test_split.tasks()
    assert (len(task.gallery), len(task.triplets)) == (ITEMS, QUERIES)
    assert task.remove_reference
    assert len({triplet.id for triplet in task.triplets}) == QUERIES
    assert len(set(task.gallery)) == ITEMS


def test_answers_by_a_plain_search_over_all_items(test_split: RenderedCatalogue) -> None:
    gallery = test_split.tasks()[0].gallery
    for triplet in test_split.triplets:
        asked = test_split.changes_of(triplet.id)
        reference = test_split.garment_of(triplet.reference)
        expected = [
            name
            for name in gallery
            if _satisfies(reference, asked.changes, test_split.garment_of(name))
        ]
        assert list(triplet.answers) == expected
        assert triplet.target in expected
        assert triplet.reference not in expected


def _satisfies(reference: Garment, changes: tuple[Change, ...], candidate: Garment) -> bool:
    if not all(change.satisfied_by(reference, candidate) for change in changes):
        return False
    free = {name for change in changes for name in change.touched}
    for name in ATTRIBUTES:
        old, new = reference.value(name), candidate.value(name)
        impossible = old not in candidate.choices(name)
        if name not in free and old != new and not impossible:
            return False
    return True


def test_asked_attributes_are_told_from_those_that_stay(test_split: RenderedCatalogue) -> None:
    for triplet in test_split.triplets:
        asked = test_split.changes_of(triplet.id)
        touched = {name for change in asked.changes for name in change.touched}
        assert touched.isdisjoint(asked.kept)
        one, other = map(test_split.garment_of, (triplet.reference, triplet.target or ""))
        assert all(one.value(name) == other.value(name) for name in asked.kept)


def test_kinds_name_the_change(test_split: RenderedCatalogue) -> None:
    kinds = Counter(triplet.kind for triplet in test_split.triplets)
    assert len(kinds) > 5
    for triplet in test_split.triplets:
        changes = test_split.changes_of(triplet.id).changes
        assert triplet.kind == (changes[0].attribute if len(changes) == 1 else SEVERAL)


def test_a_gallery_has_near_misses(test_split: RenderedCatalogue) -> None:
    """Most queries have wrong items that differ from the target in one or two things."""
    near = 0
    for triplet in test_split.triplets:
        target = test_split.garment_of(triplet.target or "")
        wrong = {*test_split.tasks()[0].gallery} - {*triplet.answers, triplet.reference}
        near += any(0 < _distance(target, test_split.garment_of(name)) <= 2 for name in wrong)
    assert near > 0.8 * QUERIES


def _distance(one: Garment, other: Garment) -> int:
    return sum(one.value(name) != other.value(name) for name in ATTRIBUTES)


def test_the_same_seed_gives_the_same_dataset(
    tmp_path: Path, test_split: RenderedCatalogue
) -> None:
    again = RenderedCatalogue(tmp_path, items=ITEMS, queries=QUERIES, image_size=32)
    other = RenderedCatalogue(tmp_path, seed=1, items=ITEMS, queries=QUERIES, image_size=32)
    assert again.triplets == test_split.triplets
    assert again.captions() == test_split.captions()
    assert other.triplets != test_split.triplets


def test_more_items_begin_with_the_same_ones(tmp_path: Path) -> None:
    small, large = open_small(tmp_path, items=11), open_small(tmp_path, items=40)
    for name in small.tasks()[0].gallery:
        assert small.garment_of(name) == large.garment_of(name)


def test_splits_share_no_photo(tmp_path: Path) -> None:
    names = [set(open_small(tmp_path, split).image_names()) for split in SPLITS]
    garments = [
        [d.garment_of(name) for name in d.tasks()[0].gallery]
        for d in (open_small(tmp_path, split) for split in SPLITS)
    ]
    assert names[0] | names[1] | names[2] == names[0] ^ names[1] ^ names[2]
    assert garments[0] != garments[1] != garments[2] != garments[0]


def test_answers_and_only_they_are_judged_right(test_split: RenderedCatalogue) -> None:
    gallery = test_split.tasks()[0].gallery
    for triplet in test_split.triplets:
        judged = {name: test_split.judge(triplet, name) for name in gallery}
        assert [n for n in gallery if judged[n] == Judgement(1, 1)] == list(triplet.answers)
        assert judged[triplet.reference].kept == 1
        assert judged[triplet.reference].changed < 1


def test_judgements_by_counting_attributes(test_split: RenderedCatalogue) -> None:
    gallery = test_split.tasks()[0].gallery[::7]
    for triplet in test_split.triplets:
        reference = test_split.garment_of(triplet.reference)
        changes = test_split.changes_of(triplet.id).changes
        free = {name for change in changes for name in change.touched}
        for name in gallery:
            found, judged = test_split.garment_of(name), test_split.judge(triplet, name)
            made = [change.satisfied_by(reference, found) for change in changes]
            assert judged.changed == pytest.approx(made.count(True) / len(changes))
            if found.kind == reference.kind and free <= {"sleeve", "length", "fit"}:
                # Nothing here decides what another attribute may be: all others had to stay.
                stay = [a for a in ATTRIBUTES if a not in free and len(reference.choices(a)) > 1]
                same = [a for a in stay if reference.value(a) == found.value(a)]
                assert judged.kept == pytest.approx(len(same) / len(stay))


def test_training_queries_judge_nothing(tmp_path: Path) -> None:
    train, test = open_small(tmp_path, "train"), open_small(tmp_path)
    assert not any(train.can_judge(name) for name in train.tasks()[0].gallery)
    assert all(test.can_judge(name) for name in test.tasks()[0].gallery)
    assert not test.can_judge("train-000000")
    with pytest.raises(TMCIRError, match="no item 'train-000000'"):
        test.judge(test.triplets[0], "train-000000")


# Training


@pytest.mark.slow
def test_training_has_every_item_and_fresh_texts(tmp_path: Path) -> None:
    train = open_small(tmp_path, "train", items=80)
    first, second = train.training_triplets(0), train.training_triplets(1)
    assert first == train.training_triplets(0) == train.triplets
    assert train.training_triplets(0, seed=1) != first
    assert first != second
    assert {triplet.reference for triplet in first} == set(train.tasks()[0].gallery)
    for one, back in zip(first[::2], first[1::2], strict=True):
        assert (one.reference, one.target) == (back.target, back.reference)


def test_training_answers_are_photos_of_the_very_garment(tmp_path: Path) -> None:
    train = open_small(tmp_path, "train", items=80)
    several = 0
    for triplet in train.training_triplets(0):
        target = train.garment_of(triplet.target or "")
        assert triplet.target in triplet.answers
        assert triplet.reference not in triplet.answers
        assert all(train.garment_of(name) == target for name in triplet.answers)
        assert triplet.text in triplet.training_texts
        several += len(triplet.answers) > 1
    assert several > 0


def test_captions_describe_every_item(tmp_path: Path) -> None:
    train = open_small(tmp_path, "train")
    assert [name for name, _ in train.captions()] == train.tasks()[0].gallery
    for name, texts in train.captions():
        assert all(train.garment_of(name).colour in text for text in texts)


def test_typos_are_in_the_texts_on_demand(tmp_path: Path) -> None:
    clean = open_small(tmp_path)
    wrong = RenderedCatalogue(tmp_path, items=12, queries=8, image_size=32, typos=1.0)
    assert all(c.isascii() for t in clean.triplets for c in t.text)
    assert all(triplet.text not in {t.text for t in clean.triplets} for triplet in wrong.triplets)


# Pictures


def test_a_missing_picture_is_drawn_once(tmp_path: Path) -> None:
    dataset = open_small(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    name = dataset.triplets[0].reference
    path = dataset.image_path(name)
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    path.write_bytes(b"mine")
    assert dataset.image_path(name).read_bytes() == b"mine"


@pytest.mark.slow
def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    datasets = [open_small(tmp_path / "a"), open_small(tmp_path / "b")]
    other = open_small(tmp_path / "c", seed=1)
    for dataset in (*datasets, other):
        dataset.draw(workers=1)
    for name in datasets[0].image_names():
        one, two, three = (d.image_path(name).read_bytes() for d in (*datasets, other))
        assert one == two
        assert one != three


def test_processes_draw_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, together = open_small(tmp_path / "a", items=4), open_small(tmp_path / "b", items=4)
    alone.draw(workers=1)
    monkeypatch.setattr(photos, "_MIN_FOR_POOL", 2)
    seen: list[tuple[int, int]] = []
    together.draw(progress=lambda done, total: seen.append((done, total)), workers=2)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for name in alone.tasks()[0].gallery:
        assert alone.image_path(name).read_bytes() == together.image_path(name).read_bytes()


def test_only_missing_pictures_are_drawn(tmp_path: Path) -> None:
    dataset = open_small(tmp_path)
    dataset.image_path(dataset.tasks()[0].gallery[3])
    totals = set()
    dataset.draw(progress=lambda done, total: totals.add(total))
    assert totals == {11}
    files = {path.name for path in (tmp_path / "images").iterdir()}
    assert files == {f"{name}.jpg" for name in dataset.tasks()[0].gallery}


def test_an_image_is_had_before_it_is_drawn_and_all_are_drawn_ahead(tmp_path: Path) -> None:
    dataset = open_small(tmp_path)
    names = dataset.image_names()
    assert all(map(dataset.has_image, names)) and not dataset.has_image("elsewhere")
    assert list(tmp_path.iterdir()) == []
    calls: list[tuple[int, int]] = []
    dataset.prepare(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (12, 12)
    assert len(list((tmp_path / "images").iterdir())) == 12
    calls.clear()
    dataset.prepare(lambda done, total: calls.append((done, total)))
    assert calls == []


def test_a_picture_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Image.Image, file: object, *args: object, **options: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    dataset = open_small(tmp_path)
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(TMCIRError, match="cannot be drawn: No space left"):
        dataset.image_path(dataset.tasks()[0].gallery[0])
    assert list((tmp_path / "images").iterdir()) == []


def test_an_unknown_image_is_an_error(tmp_path: Path) -> None:
    dataset = open_small(tmp_path)
    assert dataset.find_image("test-999999") is None
    with pytest.raises(ImageError, match="test-999999"):
        dataset.image_path("test-999999")
    with pytest.raises(TMCIRError, match="no item"):
        dataset.garment_of("train-000000")
    with pytest.raises(TMCIRError, match="no query"):
        dataset.changes_of("1-2")


@pytest.mark.slow
def test_a_folder_holds_pictures_of_one_seed_and_size(tmp_path: Path) -> None:
    open_small(tmp_path).draw(workers=1)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert (manifest["seed"], manifest["image_size"]) == (0, 32)
    open_small(tmp_path, "train")
    with pytest.raises(TMCIRError, match="choose another folder"):
        open_small(tmp_path, seed=1)
    with pytest.raises(TMCIRError, match="choose another folder"):
        RenderedCatalogue(tmp_path, image_size=64)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"items": 0}, "items must be a whole number from 1"),
        ({"queries": -1}, "queries must be a whole number from 0"),
        ({"image_size": 8}, "image_size must be a whole number from 16 to 4096"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"typos": 1.5}, "typos is 1.5"),
    ],
)
def test_rejects_options_out_of_range(
    tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(TMCIRError, match=words):
        RenderedCatalogue(tmp_path, **options)


def test_a_catalogue_of_one_item_has_no_queries(tmp_path: Path) -> None:
    assert open_small(tmp_path, items=1).triplets == []


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    """Each process that draws imports the script, and would draw all over again."""
    script = tmp_path / "draw.py"
    script.write_text(
        "import random\n"
        "from pathlib import Path\n"
        "from tmcir.rendered.nuisance import Nuisance\n"
        "from tmcir.rendered.photos import Photo, draw_photos\n"
        "from tmcir.rendered.sampling import sample_garment\n"
        "generator = random.Random(0)\n"
        "garment, nuisance = sample_garment(generator), Nuisance.sample(generator)\n"
        "photos = [Photo(Path(f'{n}.jpg'), garment, nuisance, 16) for n in range(100)]\n"
        "draw_photos(photos, workers=2)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode != 0
    # Python's resource tracker may have the last word.
    assert any("under `if __name__ == '__main__':`" in line for line in ended.stderr.splitlines())
    assert list(tmp_path.glob("*.jpg")) == []
