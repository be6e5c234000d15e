"""Colours are those that a file's profile means, whatever numbers the file holds."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tmcir.core.images import check_image, jpeg_thumbnail, read_image, read_image_at

SWATCH = ((200, 40, 60), (30, 160, 70), (40, 60, 190), (240, 230, 220), (90, 90, 90), (60, 200, 90))


def swatch() -> Image.Image:
    colours = np.array(SWATCH, np.uint8).reshape(1, 6, 3)
    return Image.fromarray(colours).resize((96, 16), Image.Resampling.NEAREST)


def worst(image: Image.Image, other: Image.Image) -> float:
    """Largest difference in the middle of the six fields, away from their blurred edges."""
    one, two = (np.asarray(im.resize((96, 16)), float)[4:12, 8::16] for im in (image, other))
    return float(np.abs(one - two).max())


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 with these tags."""
    table, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    connection = b"Lab " if space == b"CMYK" else b"XYZ "
    size = 128 + 4 + len(table) + len(body)
    head = struct.pack(">I4sI", size, b"\0" * 4, 0x02400000) + kind + space + connection
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += fixed(0.9642, 1.0, 0.8249)  # D50, the illuminant
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def common_tags(name: str) -> dict[bytes, bytes]:
    text = struct.pack(">I", len(name) + 1) + name.encode() + b"\0" * 80
    return {
        b"desc": b"desc\0\0\0\0" + text,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249),
    }


def matrix_profile(name: str) -> bytes:
    """A profile of three primaries (columns of XYZ relative to D50) and one gamma."""
    rows, gamma = PRIMARIES[name]
    tags = common_tags(name)
    for letter, column in zip(b"rgb", zip(*rows, strict=True), strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
        curve = struct.pack(">IH", 1, round(gamma * 256))
        tags[bytes([letter]) + b"TRC"] = b"curv\0\0\0\0" + curve
    return icc(b"RGB ", tags)


# XYZ of the primaries, adapted to D50.
PRIMARIES = {
    "Adobe RGB": (
        ((0.6098, 0.2053, 0.1492), (0.3111, 0.6257, 0.0632), (0.0195, 0.0609, 0.7446)),
        2.2,
    ),
    "Display P3": (
        ((0.5151, 0.292, 0.1571), (0.2412, 0.6922, 0.0666), (-0.0011, 0.0419, 0.7841)),
        2.2,
    ),
    "ProPhoto": (((0.7977, 0.1352, 0.0313), (0.288, 0.7119, 0.0001), (0.0, 0.0, 0.8249)), 1.8),
}


def ink_profile() -> bytes:
    """A profile of dull inks: a lookup table from inks to CIELAB."""
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 4, indexing="ij"), -1)  # [9, 9, 9, 9, 4]
    inks = np.array([[0.1, 0.5, 0.7], [0.7, 0.1, 0.4], [0.9, 0.8, 0.1], [0.1, 0.1, 0.1]])
    passed = 1 - grid[..., None] * (1 - inks)  # light that each ink lets through
    light = (255 * passed.prod(-2)).round().astype(np.uint8).reshape(81, 81, 3)
    srgb, cielab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(light), srgb, cielab, outputMode="LAB")
    assert lab is not None
    # Pillow's a and b are signed bytes; those of the table are shifted by 128
    table = np.asarray(lab) ^ np.array([0, 128, 128], np.uint8)
    identity = bytes(range(256))
    content = b"mft1\0\0\0\0" + bytes([4, 3, 9, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    content += identity * 4 + table.tobytes() + identity * 3
    return icc(b"CMYK", {**common_tags("dull inks"), b"A2B0": content})


def wide_swatch(profile: bytes) -> Image.Image:
    """The swatch in the numbers of a profile."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    wide = ImageCms.profileToProfile(swatch(), ImageCms.createProfile("sRGB"), target)
    assert wide is not None
    del wide.info["icc_profile"]
    return wide


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("name", PRIMARIES)
def test_colours_are_those_of_the_profile(tmp_path: Path, name: str, ending: str) -> None:
    profile = matrix_profile(name)
    wide = wide_swatch(profile)
    assert worst(wide, swatch()) > 10  # the raw numbers mean other colours
    options: dict[str, Any] = {"webp": {"lossless": True}}.get(ending, {})
    if ending == "jpg":
        options = {"quality": 100, "subsampling": 0}
    path = tmp_path / f"a.{ending}"
    wide.save(path, icc_profile=profile, **options)
    assert worst(read_image(path), swatch()) < 8
    assert all(worst(image, swatch()) < 8 for image in read_image_at(path, [8, 16]))
    thumbnail = Image.open(io.BytesIO(jpeg_thumbnail(read_image(path), 96)))
    assert "icc_profile" not in thumbnail.info and worst(thumbnail, swatch()) < 16  # a small JPEG


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_inks_are_those_of_the_profile(tmp_path: Path, ending: str) -> None:
    inks = [(128, 128, 128, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 200)]
    numbers = np.array([*inks, (0, 0, 0, 0)], np.uint8).reshape(1, 6, 4).repeat(16, 1).repeat(16, 0)
    image = Image.fromarray(numbers, "CMYK")
    profile = ink_profile()
    image.save(tmp_path / f"a.{ending}", icc_profile=profile, quality=100)
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert expected is not None and worst(expected, image.convert("RGB")) > 40
    assert worst(read_image(tmp_path / f"a.{ending}"), expected) < 8


def test_transparent_palette_and_grey_images_with_a_profile(tmp_path: Path) -> None:
    profile = matrix_profile("ProPhoto")
    wide = wide_swatch(profile)
    clear = wide.copy()
    clear.putalpha(Image.new("L", (48, 16), 255).crop((0, 0, 96, 16)))  # right half transparent
    clear.save(tmp_path / "clear.png", icc_profile=profile)
    read = np.asarray(read_image(tmp_path / "clear.png"))
    assert np.abs(read[:, :48].astype(int) - np.asarray(swatch())[:, :48]).max() < 8
    assert (read[:, 48:] == 255).all()
    wide.quantize(16).save(tmp_path / "palette.png", icc_profile=profile)
    assert worst(read_image(tmp_path / "palette.png"), swatch()) < 8
    Image.new("L", (8, 8), 100).save(tmp_path / "grey.png", icc_profile=profile)
    assert (np.asarray(read_image(tmp_path / "grey.png")) == 100).all()  # not of its mode


@pytest.mark.parametrize(
    "profile", [matrix_profile("ProPhoto")[:200], b"no profile", b"\0" * 200, ink_profile()[:5000]]
)
def test_a_damaged_profile_changes_nothing(tmp_path: Path, profile: bytes) -> None:
    swatch().save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(swatch()))
    assert check_image(tmp_path / "a.png") is None


def test_a_profile_of_another_mode_changes_nothing(tmp_path: Path) -> None:
    swatch().save(tmp_path / "a.png", icc_profile=ink_profile())
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(swatch()))


def test_srgb_under_any_name_is_left_as_it_is(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swatch().save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(swatch()))
