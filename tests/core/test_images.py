from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tmcir.core.errors import ImageError
from tmcir.core.images import (
    check_image,
    read_image,
    read_image_at,
    read_image_stream,
)


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth colour gradient: red to the right, green downwards."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, 255 - across], 2).astype(np.uint8))


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two images in 0..255."""
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).mean())


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    return tuple(np.asarray(image)[y, x].tolist())


# Kinds of pixels


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tif", "avif"])
def test_every_format_reads_as_rgb(tmp_path: Path, ending: str) -> None:
    image = read_image(save(photo(), tmp_path / f"a.{ending}"))
    assert image.mode == "RGB" and image.size == (64, 48)
    assert difference(image, photo()) < 8


def test_the_content_and_not_the_ending_decides(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo().save(path, "PNG")
    assert difference(read_image(path), photo()) == 0


def test_adobe_cmyk_reads_like_the_rgb_it_came_from(tmp_path: Path) -> None:
    path = save(photo().convert("CMYK"), tmp_path / "a.jpg", quality=95)
    assert b"Adobe" in path.read_bytes()
    assert difference(read_image(path), photo()) < 5


def test_cmyk_without_the_adobe_marker_is_not_inverted(tmp_path: Path) -> None:
    path = save(photo().convert("CMYK"), tmp_path / "a.jpg", quality=95)
    content = path.read_bytes()
    start = content.index(b"\xff\xee")
    length = struct.unpack(">H", content[start + 2 : start + 4])[0]
    path.write_bytes(content[:start] + content[start + 2 + length :])
    # ink values are now taken as they stand: where Adobe meant none, there is full ink
    assert difference(read_image(path), photo()) > 50
    assert sum(pixel(read_image(path))) < 30


def test_palette_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert pixel(read_image(save(image, tmp_path / "a.png"))) == (10, 200, 30)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_transparent_palette_entries_become_white(
    tmp_path: Path, transparency: int | bytes
) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 200, 30, 0, 0, 0])
    image.putpixel((3, 3), 0)
    read = read_image(save(image, tmp_path / "a.png", transparency=transparency))
    assert pixel(read) == (255, 255, 255)
    assert pixel(read, 3, 3) == (10, 200, 30)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),  # 255 * (1 - 51/255)
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (90, 255), (90, 90, 90)),
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("1", 0, (0, 0, 0)),
    ],
)
def test_alpha_lies_on_white(
    tmp_path: Path, mode: str, colour: Any, expected: tuple[int, ...]
) -> None:
    path = save(Image.new(mode, (4, 4), colour), tmp_path / "a.png")
    assert pixel(read_image(path)) == expected


def test_grey_with_a_transparent_value(tmp_path: Path) -> None:
    path = save(Image.new("L", (4, 4), 7), tmp_path / "a.png", transparency=7)
    assert pixel(read_image(path)) == (255, 255, 255)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
def test_16_bits_are_scaled_not_clipped(
    tmp_path: Path, ending: str, value: int, expected: int
) -> None:
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    assert image.mode == "I;16"
    assert pixel(read_image(save(image, tmp_path / f"a.{ending}"))) == (expected,) * 3


def test_32_bit_integers_of_16_bits_are_read_as_such_and_others_stretched(tmp_path: Path) -> None:
    ramp = np.arange(4, dtype=np.int32)[None].repeat(4, 0)
    narrow = save(Image.fromarray(ramp * 21845), tmp_path / "narrow.tif")
    wide = save(Image.fromarray(ramp * 1_000_000 - 500), tmp_path / "wide.tif")
    for path in (narrow, wide):
        assert np.asarray(read_image(path))[0, :, 0].tolist() == [0, 85, 170, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),  # 0..1
        ([0.0, 64.0, 255.0], [0, 64, 255]),  # 0..255
        ([-1.0, 0.0, 1.0], [0, 128, 255]),  # anything else is stretched
        ([np.nan, np.inf, 1.0], [0, 0, 255]),
        ([500.0, 500.0, 500.0], [0, 0, 0]),
    ],
)
def test_floats(tmp_path: Path, values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    read = np.asarray(read_image(save(image, tmp_path / "a.tif")))
    assert read[0, :, 0].tolist() == expected


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation(tmp_path: Path, ending: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"lossless": True} if ending == "webp" else {}
    path = tmp_path / f"a.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert pixel(read_image(path)) == (255, 0, 0)


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, ending: str) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo().transpose(undo[orientation]) if orientation in undo else photo()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / f"a.{ending}", exif=exif)
    assert difference(read_image(path), photo()) < 8


def test_draft_mode_keeps_the_minimum_side_of_a_rotated_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(photo(800, 400), tmp_path / "a.jpg", exif=exif)
    assert read_image(path, 100).size == (100, 200)


@pytest.mark.parametrize("exif", [b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00II*\x00"])
def test_damaged_exif_harms_nothing(tmp_path: Path, exif: bytes) -> None:
    path = save(photo(), tmp_path / "a.jpg", exif=exif)
    assert difference(read_image(path), photo()) < 8


# Draft mode


def test_draft_mode_decodes_smaller_and_looks_the_same(tmp_path: Path) -> None:
    path = save(photo(1001, 803), tmp_path / "a.jpg", quality=90)
    draft = read_image(path, minimum_side=100)
    assert draft.size == (126, 101)  # 1/8 of each, rounded up
    small = (112, 90)
    full = read_image(path).resize(small, Image.Resampling.BICUBIC)
    assert difference(draft.resize(small, Image.Resampling.BICUBIC), full) < 1.5


@pytest.mark.parametrize("side", [1, 50, 99, 100, 101, 224, 400, 1000])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_the_minimum_side_is_kept(tmp_path: Path, side: int, ending: str) -> None:
    path = save(photo(430, 400), tmp_path / f"a.{ending}")
    read = read_image(path, side)
    assert min(read.size) >= min(side, 400)
    assert min(read.size) < 4 * side or min(read.size) == 400


def test_large_images_of_other_formats_are_reduced(tmp_path: Path) -> None:
    path = save(photo(1000, 800), tmp_path / "a.png")
    read = read_image(path, 64)
    assert 128 <= min(read.size) < 200
    assert difference(read.resize((80, 64)), read_image(path).resize((80, 64))) < 1.5


# Images that are already open


def test_an_open_image_is_left_as_it_is() -> None:
    image = Image.new("RGBA", (900, 900), (0, 0, 0, 0))
    assert pixel(read_image(image, 100)) == (255, 255, 255)
    assert image.mode == "RGBA" and image.size == (900, 900)


def test_an_open_truncated_image(tmp_path: Path) -> None:
    path = save(photo(300, 300), tmp_path / "a.jpg")
    half = io.BytesIO(path.read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"^image in memory: broken image: .*truncated"):
        read_image(Image.open(half))


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("size", [(40, 60), (225, 300), (700, 500), (1200, 1600), (2100, 900)])
def test_several_sides_of_one_file_are_those_of_several_readings(
    tmp_path: Path, size: tuple[int, int], ending: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"a.{ending}")
    sides = [16, 96, 128, 224, 256, 384]
    for side, image in zip(sides, read_image_at(path, sides), strict=True):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(read_image(path, side)))


# Broken files: one line that names the file and the reason


def png_header(width: int, height: int) -> bytes:
    """A valid PNG header of any size, with hardly any data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\x00" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def jpeg(size: tuple[int, int] = (300, 300)) -> bytes:
    buffer = io.BytesIO()
    photo(*size).save(buffer, "JPEG")
    return buffer.getvalue()


BROKEN = {
    "empty": (b"", "empty file"),
    "text": (b"hello, this is no image", "not an image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG file; JPEG, PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript file"),
    "truncated": (jpeg()[:2500], "truncated"),
    "header-only": (jpeg()[:300], "broken image|a damaged JPEG file"),
    "truncated-png": (png_header(100, 100)[:60], "broken image"),
    "bomb": (png_header(60_000, 60_000), "pixels"),
    "over-limit": (png_header(11_000, 10_000), "11000 x 10000 pixels, more than the limit"),
    "long": (png_header(1, 5_000), "1 x 5000 pixels, more than 200 times as long as wide"),
    "no-pixels": (png_header(0, 0), "broken image|not an image|no pixels"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert check_image(path) == message.removeprefix(f"{path}: ")
    with pytest.raises(ImageError):
        read_image(path, minimum_side=64)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "tif", "bmp", "avif"])
def test_no_cut_and_no_flipped_byte_gives_anything_but_an_image_or_an_image_error(
    tmp_path: Path, ending: str
) -> None:
    content = save(photo(), tmp_path / f"good.{ending}").read_bytes()
    path = tmp_path / f"bad.{ending}"
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 5):
            damaged[place] = random.integers(256)
        path.write_bytes(bytes(damaged[: random.integers(1, len(content) + 1)]))
        reason = check_image(path)
        assert reason is None or (reason and "\n" not in reason)


HEADS = {
    "a HEIC file": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "a HEIC file ": b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heixmiaf",
    "a JPEG XL file": b"\xff\x0a\xfa\x1f\x01\x91",
    "a JPEG XL file ": b"\x00\x00\x00\x0cJXL \r\n\x87\n",
    "a JPEG 2000 file": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "an SVG file": b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='http://x'/>",
    "a PDF file": b"%PDF-1.7\n",
    "an HTML page": b"\n<!DOCTYPE html><html><body>404 Not Found",
    "an HTML page ": b"\xef\xbb\xbf<html lang='en'>",
    "an XML file": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",
    "a video": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42",
    "a video ": b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ",
    "a video  ": b"\x1aE\xdf\xa3\x9fB\x86",
    "a Photoshop file": b"8BPS\x00\x01",
    "a raw file of a camera": b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom",
    "a ZIP archive": b"PK\x03\x04\x14\x00",
}


@pytest.mark.parametrize("kind", HEADS)
def test_files_of_other_kinds_are_called_by_their_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(HEADS[kind].ljust(600, b"\0"))
    reason = check_image(path)
    assert reason is not None and reason.startswith(f"is {kind.strip()}")
    assert reason.endswith("; JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF can be read")
    with pytest.raises(ImageError, match=f"^is {kind.strip()}"):
        read_image_stream(io.BytesIO(HEADS[kind]))


def test_an_avif_that_is_damaged_is_no_heic(tmp_path: Path) -> None:
    (tmp_path / "a.avif").write_bytes(b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avif")
    assert "HEIC" not in str(check_image(tmp_path / "a.avif"))


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    assert check_image(tmp_path / "none.jpg") == "no such file"
    assert check_image(tmp_path) == "a folder, not an image"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert check_image(tmp_path / "pipe.jpg") == "not a regular file"


@pytest.mark.parametrize("address", ["https://example.com/a.jpg", "s3://shop/a.jpg"])
def test_an_address_is_no_file(address: str) -> None:
    with pytest.raises(ImageError, match="is an address, and images are read from files"):
        read_image(Path(address))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(photo(), tmp_path / "a.jpg")

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert check_image(path) == "no permission to read it"


def test_too_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(300 * 1024 * 1024)  # takes no room on the disk
    assert "more than the limit" in str(check_image(path))


def test_the_pixel_limit_can_be_set(tmp_path: Path) -> None:
    path = save(photo(64, 48), tmp_path / "a.png")
    assert read_image(path, maximum_pixels=64 * 48).size == (64, 48)
    with pytest.raises(ImageError, match="64 x 48 pixels, more than the limit of 3,071"):
        read_image(path, maximum_pixels=64 * 48 - 1)


def test_names_stay_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[31mb.jpg"
    path.write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert "a\\n\\x1b[31mb.jpg: empty file" in str(caught.value)


def test_no_warning_leaks_and_none_of_other_modules_is_hidden(tmp_path: Path) -> None:
    large = save(Image.new("1", (9_500, 9_500)), tmp_path / "a.png")  # Pillow warns from 89 MP
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(large, 100).mode == "RGB"
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", UserWarning, stacklevel=1)


def test_threads_read_at_the_same_time(tmp_path: Path) -> None:
    good = save(photo(), tmp_path / "good.jpg")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(jpeg()[:2500])
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(check_image, [good, bad] * 50))
    assert results[::2] == [None] * 50
    assert all(results[1::2])


# Open files


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_an_open_file_is_read_as_its_path_is(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a", kind)
    with (tmp_path / "a").open("rb") as stream:
        for side in (None, 10):
            expected = np.asarray(read_image(tmp_path / "a", side))
            stream.seek(0)
            np.testing.assert_array_equal(np.asarray(read_image_stream(stream, side)), expected)
        stream.seek(0)
        with pytest.raises(ImageError, match=r"^80 x 60 pixels, more"):
            read_image_stream(stream, maximum_pixels=1_000)
        assert not stream.closed


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"text", "not an image")])
def test_an_open_file_that_is_no_image_says_so(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}"):
        read_image_stream(io.BytesIO(content))
