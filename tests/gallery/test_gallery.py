from __future__ import annotations

import ast
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

import tmcir
from tests.gallery.fake import FakeModel, draw_photos
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.core.images import read_image
from tmcir.gallery import AddReport, Condition, Gallery, Query, Roles, to_where
from tmcir.gallery.stores.base import Rows
from tmcir.gallery.stores.lance import LanceStore
from tmcir.gallery.stores.opening import open_store

COLOURS = ("Red", "Navy Blue", "O'Green")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw_photos(tmp_path / "photos")


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    """Colour and year of the photos 000 to 017; nothing about 018 and 019."""
    return write_styles(tmp_path / "styles.csv", [(n, COLOURS[n % 3], 2000 + n) for n in range(18)])


def write_styles(path: Path, rows: list[tuple[int, str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "baseColour", "year"])
        writer.writerows((f"{number:03}", *rest) for number, *rest in rows)
    return path


def content(uri: Path) -> dict[str, tuple[Any, ...]]:
    """All that a gallery holds, by id."""
    store = open_store(uri)
    files, metadata = store.files(), store.metadata()
    vectors, thumbnails = store.vectors(list(files)), store.thumbnails(list(files))
    return {
        name: (vectors[name].tolist(), files[name], metadata[name], thumbnails.get(name))
        for name in sorted(files)
    }


def counts(report: AddReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, len(report.skipped)


# Adding


def test_add_names_photos_by_relative_path(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    assert len(gallery) == 0
    report = gallery.add(photos)
    assert counts(report) == (20, 0, 0, 0) and report.images_per_second > 0
    assert len(gallery) == 20
    stored = content(tmp_path / "shop")
    assert list(stored) == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.png")
    )
    vector, file, *_ = stored["shoes/000.png"]
    assert file.path == str(photos / "shoes" / "000.png")
    expected = FakeModel().encode_images([photos / "shoes" / "000.png"])[0]
    torch.testing.assert_close(torch.tensor(vector), expected)


def test_a_second_run_encodes_nothing_and_writes_nothing(
    tmp_path: Path, photos: Path, styles: Path
) -> None:
    Gallery.open(tmp_path / "shop", FakeModel()).add(photos, styles)
    version = LanceStore(str(tmp_path / "shop"), 0).version
    model = FakeModel()
    report = Gallery.open(tmp_path / "shop", model).add(photos, styles)
    assert counts(report) == (0, 0, 20, 0) and report.described == 0
    assert model.encoded == 0
    assert LanceStore(str(tmp_path / "shop"), 0).version == version


def test_changed_touched_and_new_photos(tmp_path: Path, photos: Path) -> None:
    model = FakeModel()
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(photos)
    before = content(tmp_path / "shop")
    Image.new("RGB", (16, 16), "red").save(photos / "001.png")
    os.utime(photos / "002.png", ns=(1, 1))  # same bytes, other time
    Image.new("RGB", (16, 16), "blue").save(photos / "new.png")
    (photos / "004.png").unlink()
    model.encoded = 0
    assert counts(gallery.add(photos)) == (1, 1, 18, 0)
    assert model.encoded == 2
    after = content(tmp_path / "shop")
    assert after["001.png"][0] != before["001.png"][0]
    assert after["002.png"][0] == before["002.png"][0] and after["002.png"][1].modified == 1
    assert after["004.png"] == before["004.png"]  # vanished photos stay
    assert len(gallery) == 21
    assert gallery.search(photos / "001.png", k=1)[0].id == "001.png"


def test_a_change_that_keeps_size_and_time_is_seen_in_another_folder(tmp_path: Path) -> None:
    for folder, colour in (("one", "red"), ("two", "lime")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), colour).save(tmp_path / folder / "a.bmp")
        os.utime(tmp_path / folder / "a.bmp", ns=(5, 5))
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(tmp_path / "one")
    assert counts(gallery.add(tmp_path / "two")) == (0, 1, 0, 0)


def test_a_moved_folder_is_not_encoded_again(tmp_path: Path, photos: Path) -> None:
    model = FakeModel()
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(photos)
    photos.rename(tmp_path / "moved")
    model.encoded = 0
    assert counts(gallery.add(tmp_path / "moved")) == (0, 0, 20, 0) and model.encoded == 0
    assert gallery.search(text="x", k=1)[0].path.is_relative_to(tmp_path / "moved")


def test_broken_photos_are_skipped_by_name(tmp_path: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    (photos / "empty.jpg").touch()
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    report = gallery.add(photos)
    assert counts(report) == (20, 0, 0, 2)
    assert [name for name, _ in report.skipped] == ["bad.jpg", "empty.jpg"]
    assert report.skipped[1][1] == "empty file"
    # a photo that breaks later keeps its vector, and is named each time
    (photos / "001.png").write_bytes(b"broken now")
    assert ("001.png", "not an image") in [
        (name, reason[:12]) for name, reason in gallery.add(photos).skipped
    ]
    assert len(gallery) == 20


def test_names_that_are_no_text_are_skipped(tmp_path: Path, photos: Path) -> None:
    odd = os.fsencode(photos) + b"/\xff.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - a bytes name
        file.write((photos / "001.png").read_bytes())
    report = Gallery.open(tmp_path / "shop", FakeModel()).add(photos)
    assert counts(report) == (20, 0, 0, 1)
    assert report.skipped[0][0].endswith("\\udcff.png")
    assert report.skipped[0][1] == "its name is not valid UTF-8"


def test_a_list_of_files(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    files: list[str | Path] = [
        photos / "001.png",
        str(photos / "shoes" / "000.png"),
        photos / "none.png",
    ]
    report = gallery.add([*map(str, files), photos / "001.png"])
    assert counts(report) == (2, 0, 0, 2)
    assert dict(report.skipped)["none.png"] == "no such file or directory"
    assert sorted(content(tmp_path / "shop")) == ["000.png", "001.png"]


def test_progress_and_small_chunks(tmp_path: Path, photos: Path) -> None:
    calls: list[tuple[int, int]] = []
    gallery = Gallery.open(tmp_path / "small", FakeModel())
    gallery.add(photos, chunk_size=3, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 20) for done in range(1, 21)]
    Gallery.open(tmp_path / "large", FakeModel()).add(photos)
    assert content(tmp_path / "small") == content(tmp_path / "large")


def test_vectors_that_are_not_finite_are_not_stored(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeModel()
    encode = model.encode_images

    def encode_badly(images: Any) -> torch.Tensor:
        vectors = encode(images)
        vectors[3] = torch.nan
        return vectors

    monkeypatch.setattr(model, "encode_images", encode_badly)
    report = Gallery.open(tmp_path / "shop", model).add(photos)
    assert counts(report) == (19, 0, 0, 1)
    assert report.skipped == [("005.png", "its embedding is not finite")]  # the fourth photo


RUN = """
import sys
from pathlib import Path
from tests.gallery.fake import FakeModel
from tmcir.gallery import Gallery
folder, photos, styles = sys.argv[1:]
Gallery.open(folder, FakeModel(seconds=0.02)).add(
    photos, styles, chunk_size=4, progress=lambda done, total: print(done, flush=True)
)
"""


@pytest.mark.slow
def test_killed_three_times_and_gone_on(tmp_path: Path, photos: Path, styles: Path) -> None:
    shop, root = tmp_path / "shop", Path(__file__).parents[2]
    command = [sys.executable, "-c", RUN, str(shop), str(photos), str(styles)]
    for moment in (6, 11, 15):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) == moment:
                    break
            process.send_signal(signal.SIGKILL)
        kept = content(shop)
        assert moment - 4 < len(kept) < 20  # all chunks of four but the last
    model = FakeModel()
    report = Gallery.open(shop, model).add(photos, styles)
    assert report.added == 20 - len(kept) == model.encoded
    Gallery.open(tmp_path / "calm", FakeModel()).add(photos, styles)
    assert content(shop) == content(tmp_path / "calm")


@pytest.mark.parametrize("moment", range(1, 7))
def test_stopped_at_any_write(
    tmp_path: Path,
    photos: Path,
    styles: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: int,
) -> None:
    writes = 0

    def stop(store: LanceStore, rows: Rows, write: Any = LanceStore.insert) -> None:
        nonlocal writes
        writes += 1
        if writes == moment:
            raise KeyboardInterrupt
        write(store, rows)

    with monkeypatch.context() as patch:
        patch.setattr(LanceStore, "insert", stop)
        interrupted = Gallery.open(tmp_path / "shop", FakeModel())
        if moment <= 5:
            with pytest.raises(KeyboardInterrupt):
                interrupted.add(photos, styles, chunk_size=4)
        else:
            interrupted.add(photos, styles, chunk_size=4)  # there are only five writes
    assert len(Gallery.open(tmp_path / "shop", FakeModel())) == 4 * (moment - 1)
    Gallery.open(tmp_path / "shop", FakeModel()).add(photos, styles)
    Gallery.open(tmp_path / "calm", FakeModel()).add(photos, styles)
    assert content(tmp_path / "shop") == content(tmp_path / "calm")


def test_left_over_from_a_kill_at_the_very_start(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "shop" / "images.lance" / "_versions").mkdir(parents=True)
    assert counts(Gallery.open(tmp_path / "shop", FakeModel()).add(photos))[0] == 20


# Removing, and galleries of older versions


def test_prune_removes_what_vanished(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos, prune=True)
    (photos / "001.png").unlink()
    (photos / "002.png").write_bytes(b"broken")
    (photos / "004.png").rename(photos / "new.png")
    report = gallery.add(photos, prune=True)
    assert counts(report) == (1, 0, 17, 1) and report.removed == 2
    stored = content(tmp_path / "shop")
    assert len(stored) == 19 and {"002.png", "new.png"} <= stored.keys()
    (tmp_path / "empty").mkdir()
    with pytest.raises(TMCIRError, match="pruning would empty the gallery"):
        gallery.add(tmp_path / "empty", prune=True)
    assert len(gallery) == 19
    assert gallery.add([photos / "new.png"], prune=True).removed == 18


def test_a_removed_photo_stays_removed_until_it_is_asked_back(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos)
    assert gallery.remove(["001.png", "shoes/000.png", "none"]) == 2
    again = Gallery.open(tmp_path / "shop", FakeModel())
    report = again.add(photos, prune=True)
    assert counts(report) == (0, 0, 18, 0) and report.removed == 0 and len(again) == 18
    assert report.notes == ["2 removed photos stay removed; `tmcir gallery restore` restores them"]
    assert again.removed() == {"001.png", "shoes/000.png"}
    assert again.restore(["001.png", "002.png"]) == 1
    assert counts(again.add(photos)) == (1, 0, 18, 0)
    assert again.restore() == 1 and again.removed() == set()
    assert counts(again.add(photos)) == (1, 0, 19, 0)
    with pytest.raises(TMCIRError, match="not one text"):
        again.restore("001.png")


def test_roles_are_kept_and_guessed_where_they_are_not_given(tmp_path: Path, photos: Path) -> None:
    rows = "".join(
        f"{n:03},https://shop.example/p/{n},Shoe {n},{n // 2},shoe no {n}\n" for n in range(20)
    )
    table = tmp_path / "a.csv"
    table.write_text(f"id,url,title,article,product name\n{rows}")
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos, table)
    assert gallery.chosen_roles() == Roles()
    guessed = gallery.roles()
    assert (guessed.title, guessed.link, guessed.group) == ("title", "url", "article")
    gallery.add(photos, roles=Roles(title="Product Name"))
    gallery.add(photos, roles=Roles(group="article"))
    again = Gallery.open(tmp_path / "shop", FakeModel())
    assert again.chosen_roles() == Roles(title="product_name", group="article")
    assert (again.roles().title, again.roles().link) == ("product_name", "url")
    with pytest.raises(TMCIRError, match="unknown link column 'urll': did you mean 'url'"):
        gallery.add(photos, roles=Roles(link="urll"))


def test_prune_leaves_what_could_not_be_looked_at(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos)
    (photos / "001.png").unlink()
    (photos / "002.png").rename(tmp_path / "002.png")
    (photos / "002.png").symlink_to(tmp_path / "002.png")
    (photos / "004.png").unlink()
    (photos / "004.png").symlink_to(tmp_path / "a disk that is not there.png")
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "shoes":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        report = gallery.add(photos, prune=True)
    assert report.skipped == [("shoes", "permission denied")]
    assert report.removed == 1 and len(gallery) == 19  # 001.png
    assert report.notes == [
        "skipped: 1 link that leads nowhere, 1 link that leads out of the folder"
    ]
    (photos / "shoes" / "000.png").unlink()
    assert gallery.add(photos, prune=True).removed == 1


def test_what_of_a_folder_is_skipped_is_noted(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    (photos / ".hidden.png").touch()
    assert gallery.add(photos).notes == []
    for number in range(5):
        (photos / f"{number}.heic").touch()
    assert gallery.add(photos).notes == ["skipped: 5 .heic"]
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "a.heic").touch()
    nothing, skipped = Gallery.open(tmp_path / "other", FakeModel()).add(tmp_path / "phone").notes
    assert "phone: no image files; these endings count: .avif, .bmp, .gif, .jfif" in nothing
    assert skipped == "skipped: 1 .heic"


class ExactModel(FakeModel):
    """A model whose vectors change with any difference of what it reads."""

    image_size = 48

    def encode_images(self, images: Any) -> torch.Tensor:
        read = [read_image(image, self.image_size).resize((4, 4)) for image in images]
        pixels = np.stack([np.asarray(image, np.float64) for image in read]).reshape(len(read), 48)
        return normalize(torch.from_numpy(pixels - 100)).float()


@pytest.mark.slow
def test_a_vector_is_that_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    (folder / "styles.csv").write_text("id,x\n30,1\n")
    for width, height in ((30, 40), (60, 50), (97, 130), (225, 300), (400, 256), (900, 1300)):
        noise = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        for ending in ("png", "jpg", "webp", "tif"):
            picture.save(folder / f"{width}.{ending}")
        picture.save(folder / f"{width}.progressive.jpg", progressive=True)
        picture.convert("CMYK").save(folder / f"{width}.cmyk.jpg")
    model = ExactModel()
    gallery = Gallery.open(tmp_path / "shop", model)
    report = gallery.add(folder, folder / "styles.csv")
    assert report.added == 36 and report.notes[0].startswith("metadata: ")
    files = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    stored = gallery.embed([Query(item=path.name) for path in files])
    expected = model.encode_images(files).numpy()
    np.testing.assert_allclose(stored, expected, atol=1e-6)
    for path in files[::5]:
        (hit,) = gallery.search(path, k=1)  # the PNG where other files have the same pixels
        assert hit.score == pytest.approx(1, abs=1e-6)
        assert hit.id.partition(".")[0] == path.name.partition(".")[0]


def test_remove_takes_a_list(tmp_path: Path, photos: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    with pytest.raises(TMCIRError, match="there is no gallery"):
        gallery.remove(["001.png"])
    gallery.add(photos)
    with pytest.raises(TMCIRError, match="not one text"):
        gallery.remove("001.png")
    assert gallery.remove(["001.png", "001.png", "it's none"]) == 1
    assert gallery.remove([]) == 0 and len(gallery) == 19


def test_a_gallery_of_an_older_or_a_newer_version_is_rejected(tmp_path: Path, photos: Path) -> None:
    for name in ("old", "new"):
        Gallery.open(tmp_path / name, FakeModel()).add(photos)
    table = lancedb.connect(str(tmp_path / "old")).open_table("images")
    table.drop_columns(["thumbnail_jpeg"])
    with pytest.raises(TMCIRError, match="made by an older version of tmcir; index the photos"):
        Gallery.open(tmp_path / "old", FakeModel())
    database = lancedb.connect(str(tmp_path / "new"))
    rows = database.open_table("images").to_arrow()
    metadata = {**rows.schema.metadata, b"tmcir.format": b"99"}
    database.create_table("images", rows.replace_schema_metadata(metadata), mode="overwrite")
    with pytest.raises(TMCIRError, match="made by a newer version"):
        Gallery.open(tmp_path / "new", FakeModel())


# Metadata


def test_metadata_of_new_unchanged_and_unnamed_photos(
    tmp_path: Path, photos: Path, styles: Path
) -> None:
    model = FakeModel()
    gallery = Gallery.open(tmp_path / "shop", model)
    gallery.add(photos)
    model.encoded = 0
    report = gallery.add(photos, styles)
    assert counts(report) == (0, 0, 20, 0) and report.described == 18 and model.encoded == 0
    assert gallery.columns() == {"baseColour": "text", "year": "integer"}
    write_styles(styles, [(1, "Black", 1999), (2, "Navy Blue", 2002), (19, "Pink", "")])
    Image.new("RGB", (16, 16), "red").save(photos / "004.png")
    report = gallery.add(photos, styles)
    assert report.described == 3 and counts(report) == (0, 1, 19, 0)
    stored = {name: row[2] for name, row in content(tmp_path / "shop").items()}
    assert stored["001.png"] == {"baseColour": "Black", "year": 1999}
    assert stored["002.png"] == {"baseColour": "Navy Blue", "year": 2002}
    assert stored["004.png"] == {"baseColour": "Navy Blue", "year": 2004}  # changed photo keeps it
    assert stored["019.png"] == {"baseColour": "Pink", "year": None}
    assert stored["shoes/018.png"] == {"baseColour": None, "year": None}


def test_a_second_csv_adds_columns(tmp_path: Path, photos: Path, styles: Path) -> None:
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(photos, styles)
    (tmp_path / "price.csv").write_text("filename,price\n001.png,9.5\n000.png,3\n")
    gallery.add(photos, tmp_path / "price.csv")
    assert gallery.columns() == {"baseColour": "text", "year": "integer", "price": "number"}
    hit = gallery.search(text="x", where="price < 5")[0]
    assert hit.id == "shoes/000.png"
    assert hit.metadata == {"baseColour": "Red", "year": 2000, "price": 3.0}


def test_a_csv_that_fits_no_photo_leaves_no_gallery_behind(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "bad.csv").write_text("id,colour\nnobody,red\n")
    with pytest.raises(TMCIRError, match="is the name of a photo"):
        Gallery.open(tmp_path / "shop", FakeModel()).add(photos, tmp_path / "bad.csv")
    assert not (tmp_path / "shop").exists()


# Searching


@pytest.fixture
def gallery(tmp_path: Path, photos: Path, styles: Path) -> Gallery:
    opened = Gallery.open(tmp_path / "shop", FakeModel())
    opened.add(photos, styles)
    return opened


@pytest.mark.parametrize("kind", ["image", "text", "both"])
def test_search_against_slow_numpy(gallery: Gallery, photos: Path, kind: str) -> None:
    image = photos / "001.png" if kind != "text" else None
    text = "in red" if kind != "image" else None
    model = FakeModel()
    query = {
        "image": lambda: model.encode_images([photos / "001.png"]),
        "text": lambda: model.encode_texts(["in red"]),
        "both": lambda: model.compose([photos / "001.png"], ["in red"], balance=0.3),
    }[kind]()[0].numpy()
    scores = {}
    for path in photos.rglob("*.png"):
        vector = model.encode_images([path])[0].numpy()
        scores[path.relative_to(photos).as_posix()] = float(np.dot(vector, query))
    expected = sorted(scores, key=lambda name: (-scores[name], name))
    hits = gallery.search(image, text, k=100, balance=0.3)
    assert [hit.id for hit in hits] == expected
    assert [hit.rank for hit in hits] == list(range(1, 21))
    np.testing.assert_allclose(
        [hit.score for hit in hits], [scores[n] for n in expected], atol=1e-6
    )
    assert [hit.id for hit in gallery.search(image, text, k=3, balance=0.3)] == expected[:3]


def test_a_pil_image_finds_itself(gallery: Gallery, photos: Path) -> None:
    hit = gallery.search(Image.open(photos / "002.png"), k=1)[0]
    assert hit.id == "002.png" and hit.score == pytest.approx(1)
    assert hit.path == photos / "002.png"
    assert hit.metadata == {"baseColour": "O'Green", "year": 2002}


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("baseColour = 'Red'", [0, 3, 6, 9, 12, 15]),
        ("BASECOLOUR = 'O''Green' and year < 2006", [2, 5]),
        ("year between 2003 and 2005 or year is null", [3, 4, 5, 18, 19]),
        ("baseColour like 'Navy%' and year >= 2010", [10, 13, 16]),
        ("id = 'shoes/000.png'", [0]),
        ("year > 3000", []),
        ("year > 2016 -- the newest", [17]),
        ("  ", list(range(20))),
    ],
)
def test_filters(gallery: Gallery, where: str, numbers: list[int]) -> None:
    hits = gallery.search(text="x", k=100, where=where)
    assert sorted(int(Path(hit.id).stem) for hit in hits) == numbers
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("colour = 'Red'", "No field named colour"),
        ("baseColour =", "Expected: an expression"),
        ("year = 2012 nonsense", "found: nonsense"),
        ("year = 2012; drop table images", "found: ;"),
        ("id", "does not return a boolean"),
        ("year / 0 = 1", "Divide by zero"),
        ("'" * 3, "Unterminated string"),
        ("x" * 10_001, "longer than"),
        ("(" * 4000 + ")" * 4000, "recursion limit"),
        ("year < 2010) nonsense", "a closing bracket"),
        ("year < 2010) and (baseColour = 'Red'", "a closing bracket"),
        ("year = '2012'", "column 'year' holds whole numbers: write 2012"),
        ("baseColour < 50", "column 'baseColour' holds text: write '50'"),
    ],
)
def test_bad_filters(gallery: Gallery, where: str, reason: str) -> None:
    with pytest.raises(TMCIRError, match=reason) as caught:
        gallery.search(text="x", where=where)
    message = str(caught.value)
    assert "\n" not in message and "/root" not in message and len(message) < 400
    if "longer" not in reason:
        assert "columns: id (text), path (text), baseColour (text), year (integer)" in message


def test_columns_with_odd_names_filter_in_the_form_that_the_notes_give(
    tmp_path: Path, photos: Path
) -> None:
    names = ["order", "select", "null", "true", "interval", "current_date", "a b", "a.b", 'a"b']
    header = ",".join(["id", *names[:-1], '"a""b"'])
    rows = "".join(
        f"{number:03}," + ",".join(str(number * (place + 2)) for place in range(9)) + "\n"
        for number in range(20)
    )
    (tmp_path / "odd.csv").write_text(f"{header}\n{rows}")
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    notes = gallery.add(photos, tmp_path / "odd.csv").notes
    called = {name: name for name in names}
    for note in notes:
        if " is called " in note:
            given, _, own = note.removeprefix("metadata: column ").partition(" is called ")
            called[ast.literal_eval(given)] = ast.literal_eval(own.partition(" in the")[0])
    assert called["order"] == "order" and called["null"] == "null_"
    for place, name in enumerate(names):
        value = 7 * (place + 2)
        hits = gallery.search(text="x", where=f"{called[name]} = {value}")
        assert [Path(hit.id).stem for hit in hits] == ["007"], name
        where = to_where([Condition(called[name], "=", value)], gallery.columns())
        assert len(gallery.search(text="x", where=where)) == 1


def test_ties_in_the_order_of_ids(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(30):
        Image.new("RGB", (16, 16), "teal").save(tmp_path / "photos" / f"{number}.png")
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    gallery.add(tmp_path / "photos", chunk_size=7)
    for text in ("a", "b", "c"):
        found = [hit.id for hit in gallery.search(text=text, k=12)]
        assert found == sorted(f"{number}.png" for number in range(30))[:12]


def test_another_process_adds_while_this_one_searches(
    gallery: Gallery, tmp_path: Path, photos: Path
) -> None:
    assert len(gallery.search(text="x", k=100)) == 20
    Image.new("RGB", (16, 16), "red").save(photos / "new.png")
    Gallery.open(tmp_path / "shop", FakeModel()).add(photos)
    assert len(gallery.search(text="x", k=100)) == 21


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({}, "empty query"),
        ({"text": " \n"}, "empty query"),
        ({"text": "x" * 2001}, "2,001 characters"),
        ({"text": "\udcff"}, "not valid UTF-8"),
        ({"text": "x", "k": 0}, "k, the number of results, must be at least 1, not 0"),
        ({"text": "x", "k": -5}, "not -5"),
        ({"text": "x", "balance": 1.5}, "balance must lie between"),
        ({"text": "x", "balance": float("nan")}, "balance must lie between"),
    ],
)
def test_bad_queries(gallery: Gallery, query: dict[str, Any], reason: str) -> None:
    with pytest.raises(TMCIRError, match=reason):
        gallery.search(**query)


def test_a_broken_query_image(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg: no such file"):
        gallery.search(tmp_path / "none.jpg")


# Opening


def test_another_model_is_rejected(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"indexed with the model 'fake' \(0123456789ab, 48 d"):
        Gallery.open(tmp_path / "shop", FakeModel(identity="another"))


def test_the_model_is_remembered(gallery: Gallery, tmp_path: Path, photos: Path) -> None:
    assert Gallery.read_model(tmp_path / "nothing") is None
    Gallery.open(tmp_path / "other", FakeModel(), source="runs/model").add(photos)
    record = Gallery.read_model(tmp_path / "other")
    assert record is not None
    assert (record.name, record.source, record.embedding_size) == ("fake", "runs/model", 48)


def test_a_gallery_loads_the_model_that_it_remembers(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(source: str | Path, runtime: str) -> FakeModel:
        loaded.append(str(source))
        return FakeModel(identity=Path(source).name)

    monkeypatch.setattr("tmcir.gallery.model.load", load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    Gallery.open("shop", model="model").add(photos)
    monkeypatch.chdir(photos)  # a relative folder means the same from everywhere
    loaded.clear()
    assert Gallery.open(tmp_path / "shop").search(item="001.png", k=1)[0].id == "001.png"
    assert loaded == [str(tmp_path / "model")]
    (tmp_path / "model").rmdir()
    with pytest.raises(TMCIRError, match=r"its model is no longer at .*model; pass its new place"):
        Gallery.open(tmp_path / "shop")
    with pytest.raises(TMCIRError, match="there is no gallery; make one with `tmcir index"):
        Gallery.open(tmp_path / "none")
    Gallery.open(tmp_path / "built", FakeModel()).add(photos)
    with pytest.raises(TMCIRError, match="does not remember its model 'fake'"):
        Gallery.open(tmp_path / "built")


@pytest.mark.slow
def test_a_gallery_of_a_shipped_model_remembers_that(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Gallery.open("shop", model="mini").add([photos / "001.png"])
    record = Gallery.read_model("shop")
    assert record is not None and (record.source, record.shipped) == ("mini", True)
    (tmp_path / "mini").mkdir()  # an unrelated folder, and then another model of that name
    assert len(Gallery.open("shop")) == 1 and tmcir.load("mini").identity == record.identity
    (tmp_path / "mini" / "config.json").write_text("{}")
    assert len(Gallery.open("shop")) == 1
    with pytest.raises(TMCIRError, match="is of type 'unknown'"):
        tmcir.load("mini")  # a folder with a model comes first
    (tmp_path / "mini" / "config.json").unlink()
    opened = Gallery.open("shop", model=tmcir.load("mini"))
    Gallery.open("other", model=tmcir.load("mini")).add([photos / "001.png"])
    assert Gallery.read_model("other") == record and "'mini' (shipped, " in str(opened.info())


def test_no_gallery(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "none", FakeModel())
    assert len(gallery) == 0 and gallery.columns() == {}
    with pytest.raises(TMCIRError, match="there is no gallery; make one with `tmcir index"):
        gallery.search(text="x")
    assert not (tmp_path / "none").exists()


def test_an_empty_gallery(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    gallery = Gallery.open(tmp_path / "shop", FakeModel())
    assert counts(gallery.add(tmp_path / "photos")) == (0, 0, 0, 0)
    assert gallery.search(text="x") == []


def test_other_things_at_the_address(tmp_path: Path, photos: Path, styles: Path) -> None:
    with pytest.raises(TMCIRError, match="holds other files and is not a gallery"):
        Gallery.open(photos, FakeModel())
    with pytest.raises(TMCIRError, match="is a file, not a gallery"):
        Gallery.open(styles, FakeModel())
    with pytest.raises(TMCIRError, match="no such folder"):
        Gallery.open(tmp_path / "shop", FakeModel()).add(tmp_path / "nowhere")
    assert not (tmp_path / "shop").exists()


def test_a_damaged_gallery_is_one_line(gallery: Gallery, tmp_path: Path) -> None:
    for file in (tmp_path / "shop" / "images.lance" / "_versions").iterdir():
        file.write_bytes(b"damaged")
    with pytest.raises(TMCIRError, match="cannot be opened") as caught:
        Gallery.open(tmp_path / "shop", FakeModel())
    assert "\n" not in str(caught.value)


def test_searching_imports_no_training() -> None:
    # read from the source: transformers itself imports accelerate where that is installed
    source = Path(tmcir.__file__).parent
    for room in ("data", "models", "gallery", "service"):
        for file in (source / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                for name in imported_names(node):
                    assert not name.startswith(("tmcir.training", "accelerate", "diffusers")), file


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_a_second_writer_is_rejected_and_stores_nothing_twice(tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos")
    first = Gallery.open(tmp_path / "shop", FakeModel())
    second = Gallery.open(tmp_path / "shop", FakeModel())
    rejected: list[str] = []

    def try_too(done: int, total: int) -> None:
        if not rejected:
            with pytest.raises(TMCIRError, match="another process is writing") as caught:
                second.add(photos)
            rejected.append(str(caught.value))

    first.add(photos, progress=try_too)
    assert rejected
    report = second.add(photos)  # afterwards it is welcome, and finds everything done
    assert (report.added, report.unchanged) == (0, len(first))
    assert len(first) == len(second)
