"""Preprocessing against arithmetic by hand; test_encoder.py compares it with transformers' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tmcir.core.errors import TMCIRError
from tmcir.models.preprocessing import CLIP_MEAN, CLIP_STD, FITS, ImagePreprocessor


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


# Crop


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((4, 4), slice(0, 4), slice(0, 4)),
        # The shorter side is as it should be: nothing is resized, the centre is cut out.
        ((6, 4), slice(0, 4), slice(1, 5)),
        ((4, 8), slice(2, 6), slice(0, 4)),
        # An odd rest: the greater half is cut off on the right and at the bottom.
        ((7, 4), slice(0, 4), slice(1, 5)),
        ((4, 9), slice(2, 6), slice(0, 4)),
    ],
)
def test_the_centre_square_is_cut_out(size: tuple[int, int], rows: slice, columns: slice) -> None:
    image = noise(*size)
    square = ImagePreprocessor(size=4).resize(image)
    assert square.dtype == np.uint8
    assert np.array_equal(square, np.asarray(image)[rows, columns])


@pytest.mark.parametrize(
    ("size", "resized", "box"),
    [
        # 32 / 40 = 0.8; 61 * 0.8 = 48.8, cut down to 48; (48 - 32) / 2 = 8 off each side.
        ((61, 40), (48, 32), (8, 0, 40, 32)),
        # 40 * 0.8 = 32, 59 * 0.8 = 47.2: 47; 15 to cut, 7 of them at the top.
        ((40, 59), (32, 47), (0, 7, 32, 39)),
        # Enlarged: 32 / 10 = 3.2, 13 * 3.2 = 41.6: 41; 9 to cut, 4 of them on the left.
        ((13, 10), (41, 32), (4, 0, 36, 32)),
    ],
)
@pytest.mark.parametrize(
    ("resample", "kind"), [(2, Image.Resampling.BILINEAR), (3, Image.Resampling.BICUBIC)]
)
def test_the_shorter_side_is_resized_and_the_longer_follows(
    size: tuple[int, int],
    resized: tuple[int, int],
    box: tuple[int, int, int, int],
    resample: int,
    kind: Image.Resampling,
) -> None:
    image = noise(*size)
    expected = np.asarray(image.resize(resized, kind).crop(box))
    square = ImagePreprocessor(size=32, resample=resample).resize(image)
    assert np.array_equal(square, expected)


@pytest.mark.parametrize(
    ("size", "width", "height", "longer"),
    [
        # 128 * 98 / 49 = 256 exactly, yet 98 * (128 / 49) is 255.99999999999997 in floating point.
        (128, 98, 49, 256),
        (128, 49, 147, 384),
        # 224 * 414 / 207 = 448 exactly.
        (224, 414, 207, 448),
        (224, 214, 321, 336),
    ],
)
def test_whole_pixels_are_not_lost_to_rounding(
    size: int, width: int, height: int, longer: int
) -> None:
    image = noise(width, height)
    resized = (longer, size) if width > height else (size, longer)
    left, top = (resized[0] - size) // 2, (resized[1] - size) // 2
    whole = image.resize(resized, Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((left, top, left + size, top + size)))
    # transformers: int(shortest_edge * long / short), in this order.
    assert np.array_equal(ImagePreprocessor(size=size).resize(image), expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.sampled_from(FITS))
def test_every_image_becomes_a_square(width: int, height: int, size: int, fit: Any) -> None:
    square = ImagePreprocessor(size=size, fit=fit).resize(noise(width, height))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8


# Pad


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        # 20 / 40 = 0.5: 20 x 5 pixels, (20 - 5) // 2 = 7 white rows above, 8 below.
        ((40, 10), slice(7, 12), slice(0, 20)),
        ((10, 40), slice(0, 20), slice(7, 12)),
        # 20 / 30: 20 x 16.67 pixels are rounded to 17, (20 - 17) // 2 = 1.
        ((30, 25), slice(1, 18), slice(0, 20)),
        # 20 / 5 = 4: enlarged to 20 x 12.
        ((5, 3), slice(4, 16), slice(0, 20)),
        # 1 * 20 / 100 = 0.2, but one pixel is left of every image.
        ((1, 100), slice(0, 20), slice(9, 10)),
        ((25, 25), slice(0, 20), slice(0, 20)),
    ],
)
def test_padding_keeps_the_whole_image_on_white(
    size: tuple[int, int], rows: slice, columns: slice
) -> None:
    square = ImagePreprocessor(size=20, fit="pad").resize(Image.new("RGB", size, (200, 0, 50)))
    expected = np.full((20, 20, 3), 255, dtype=np.uint8)
    expected[rows, columns] = (200, 0, 50)
    assert np.array_equal(square, expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 200))
def test_padding_keeps_the_aspect(width: int, height: int) -> None:
    size = 24
    square = ImagePreprocessor(size=size, fit="pad").resize(Image.new("RGB", (width, height)))
    dark = (square == 0).all(axis=2)
    # The black part is one rectangle, as long as the square, its sides in the image's ratio.
    rows, columns = int(dark.any(axis=1).sum()), int(dark.any(axis=0).sum())
    assert dark.sum() == rows * columns
    assert (square[~dark] == 255).all()
    longest = max(width, height)
    assert (columns if width == longest else rows) == size
    assert abs(columns - size * width / longest) <= max(0.5, 1 - size * width / longest) + 1e-9
    assert abs(rows - size * height / longest) <= max(0.5, 1 - size * height / longest) + 1e-9
    above, below = dark.any(axis=1).argmax(), dark[::-1].any(axis=1).argmax()
    assert 0 <= below - above <= 1


def test_padding_does_not_change_what_fits() -> None:
    image = noise(8, 5)
    square = ImagePreprocessor(size=8, fit="pad").resize(image)
    assert np.array_equal(square[1:6], np.asarray(image))


# Target padding and stretching


def test_target_padding_by_hand() -> None:
    # 10 x 4: 10 / 1.25 = 8, so that (8 - 4) // 2 = 2 black rows go above and below; the square of
    # 8 is then cut out of 10 x 8: one column less on either side.
    square = ImagePreprocessor(size=8, fit="targetpad").resize(
        Image.new("RGB", (10, 4), (200, 0, 50))
    )
    expected = np.zeros((8, 8, 3), dtype=np.uint8)
    expected[2:6] = (200, 0, 50)
    assert np.array_equal(square, expected)


def test_target_padding_leaves_what_is_nearly_square_to_the_crop() -> None:
    for size in ((10, 9), (9, 10), (10, 10)):
        crop, padded = (ImagePreprocessor(6, fit).resize(noise(*size)) for fit in FITS[::2])
        assert np.array_equal(crop, padded)


def test_stretching_shows_all_of_the_image() -> None:
    image = noise(30, 10)
    square = ImagePreprocessor(size=8, fit="stretch").resize(image)
    assert np.array_equal(square, np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC)))


def test_a_crop_may_be_smaller_than_what_the_image_is_resized_to() -> None:
    image = noise(20, 10)
    square = ImagePreprocessor(size=8, resize_size=10).resize(image)
    assert np.array_equal(square, np.asarray(image)[1:9, 6:14])
    assert ImagePreprocessor(size=8, resize_size=10).region(20, 10) == pytest.approx(
        (0.3, 0.1, 0.7, 0.9)
    )


# Normalise


def test_normalised_values_by_hand() -> None:
    preprocessor = ImagePreprocessor(size=1, mean=(0.5, 0.0, 0.2), std=(0.25, 1.0, 0.4))
    pixels = torch.tensor([[255, 255, 255], [0, 0, 0], [51, 51, 51]], dtype=torch.uint8)
    # 255 is 1: (1 - 0.5) / 0.25 = 2, (1 - 0) / 1 = 1, (1 - 0.2) / 0.4 = 2.
    # 0: -0.5 / 0.25 = -2, 0, -0.2 / 0.4 = -0.5. 51 is 0.2: -0.3 / 0.25 = -1.2, 0.2, 0.
    expected = torch.tensor([[2.0, 1.0, 2.0], [-2.0, 0.0, -0.5], [-1.2, 0.2, 0.0]])
    values = preprocessor.normalise(pixels[:, :, None, None])
    assert values.shape == (3, 3, 1, 1) and values.dtype == torch.float32
    torch.testing.assert_close(values[:, :, 0, 0], expected, atol=1e-6, rtol=0)


def test_normalising_takes_fractions_and_leaves_its_input_alone() -> None:
    preprocessor = ImagePreprocessor(size=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    pixels = torch.full((1, 3, 2, 2), 127.5, dtype=torch.float64)
    values = preprocessor.normalise(pixels)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, torch.zeros(1, 3, 2, 2))
    assert (pixels == 127.5).all()


def test_the_mean_of_clip_becomes_zero_and_one_deviation_one() -> None:
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    pixels = 255 * torch.stack([mean, mean + std, mean - 2 * std])[:, :, None, None]
    values = ImagePreprocessor(size=1).normalise(pixels)[:, :, 0, 0]
    expected = torch.tensor([0.0, 1.0, -2.0])[:, None].expand(3, 3)
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)


# The file


def test_nothing_said_gives_the_defaults_of_clip() -> None:
    assert ImagePreprocessor.from_dict({}, 224) == ImagePreprocessor(size=224)


@pytest.mark.parametrize("fit", FITS)
def test_a_written_file_is_read_back(fit: Any) -> None:
    preprocessor = ImagePreprocessor(
        size=48, fit=fit, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), resample=2
    )
    assert ImagePreprocessor.from_dict(preprocessor.to_dict(), 48) == preprocessor
    assert preprocessor.to_dict()["crop_size"] == {"height": 48, "width": 48}


def test_the_tower_says_the_size_and_the_file_the_rest() -> None:
    settings = {"size": {"shortest_edge": 224}, "image_mean": [0.5, 0.5, 0.5], "resample": 2}
    preprocessor = ImagePreprocessor.from_dict(settings, 16)
    assert preprocessor == ImagePreprocessor(size=16, mean=(0.5, 0.5, 0.5), resample=2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # SigLIP and BLIP-2: both sides are given, and nothing is cut.
        ({"size": {"height": 224, "width": 224}}, ImagePreprocessor(16, "stretch")),
        ({"size": {"height": 9, "width": 9}, "do_center_crop": True}, ImagePreprocessor(16)),
        # DINOv2: 256, of which 224 are cut out; here 16 of 18.
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
            ImagePreprocessor(16, resize_size=18),
        ),
        # ConvNeXt names a share.
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.5}, ImagePreprocessor(16, resize_size=32)),
        ({"size": 224, "crop_size": 224}, ImagePreprocessor(16)),  # CLIP's first files
    ],
)
def test_files_of_other_models_are_read(
    settings: dict[str, Any], expected: ImagePreprocessor
) -> None:
    assert ImagePreprocessor.from_dict(settings, 16) == expected


def test_a_file_of_ours_says_the_size_itself() -> None:
    written = ImagePreprocessor(size=48, resize_size=60).to_dict()
    assert ImagePreprocessor.from_dict(written, 16) == ImagePreprocessor(size=48, resize_size=60)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"resample": 0}, "resample 0"),
        ({"resample": 5}, "resample 5"),
        ({"resample": "bicubic"}, "resample 'bicubic'"),
        ({"resample": None}, "resample None"),
        ({"fit": "squeeze"}, "fit 'squeeze'"),
        ({"fit": None}, "fit None"),
    ],
)
def test_what_is_not_supported_is_rejected(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(TMCIRError, match=named) as caught:
        ImagePreprocessor.from_dict(settings, 224)
    assert "\n" not in str(caught.value)


# Region


@pytest.mark.parametrize(
    ("fit", "size", "region"),
    [
        ("crop", (40, 40), (0, 0, 1, 1)),
        ("crop", (40, 20), (0.25, 0, 0.75, 1)),  # the middle 20 of 40
        ("crop", (20, 80), (0, 0.375, 1, 0.625)),  # 20 of 80: a quarter
        ("pad", (40, 20), (0, -0.5, 1, 1.5)),  # 40 high where the image has 20: 10 more each side
        ("pad", (20, 80), (-1.5, 0, 2.5, 1)),  # 80 wide where it has 20: 30 more each side
        ("stretch", (20, 80), (0, 0, 1, 1)),
        ("targetpad", (40, 40), (0, 0, 1, 1)),
        ("targetpad", (40, 36), (0.05, 0, 0.95, 1)),  # 40 / 36 < 1.25: the middle 36 of 40
        # 100 / 1.25 = 80: padded to 80 high, 15 above and below; then 80 of the 100 are shown.
        ("targetpad", (100, 50), (0.1, -0.3, 0.9, 1.3)),
    ],
)
def test_the_region_is_what_the_square_shows(
    fit: Any, size: tuple[int, int], region: tuple[float, ...]
) -> None:
    assert ImagePreprocessor(size=8, fit=fit).region(*size) == pytest.approx(region)
