from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import build_model
from tests.training.colours import NAMES, Colours, names_of
from tmcir.core.errors import ImageError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR
from tmcir.models.features import TextTokens
from tmcir.training import images as images_module
from tmcir.training.batches import Batch, Sample, make_batch
from tmcir.training.images import Augmentation, Crops, ImageStore, seeded
from tmcir.training.stages import fuse

PLENTY = 1 << 30
ONE_IMAGE = 3 * 16 * 16  # bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TMCIR:
    return build_model(Colours(tmp_path_factory.mktemp("colours")))


@pytest.fixture
def colours(tmp_path: Path) -> Colours:
    return Colours(tmp_path)


def composed(*pairs: str) -> list[Sample]:
    """``ab`` is the sample of reference a and target b."""
    return [Sample(pair[1], (f"to {pair[1]}",), reference=pair[0]) for pair in pairs]


def draw_batch(
    samples: Sequence[Sample],
    model: TMCIR,
    store: ImageStore,
    crop: float,
    seed: str,
) -> Batch:
    batch = make_batch(samples, model.encoder, Crops(store, Augmentation(crop, mirror=True)), seed)
    assert isinstance(batch.images, torch.Tensor)
    return batch


def pixels_of(batch: Batch) -> torch.Tensor:
    assert isinstance(batch.images, torch.Tensor)
    return batch.images


def assert_equal(one: Batch, other: Batch) -> None:
    assert pixels_of(one).equal(pixels_of(other))
    assert one.text.ids.equal(other.text.ids) and one.text.lengths.equal(other.text.lengths)
    assert one.target.equal(other.target) and one.groups.equal(other.groups)
    assert (one.reference is None) == (other.reference is None)
    if one.reference is not None and other.reference is not None:
        assert one.reference.equal(other.reference)


# make_batch


def test_a_batch_depends_on_its_seed_alone(products: FashionProducts, model: TMCIR) -> None:
    samples = fuse(products, 0, True, True).samples(0)[:10]
    first = draw_batch(
        samples, model, ImageStore(model, products.image_path, PLENTY), 0.7, "0 fuse 5 0"
    )
    # Another global seed, another store, and other steps in between.
    random.seed(1)
    torch.manual_seed(1)
    store = ImageStore(model, products.image_path, 0)
    other = draw_batch(samples, model, store, 0.7, "0 fuse 6 0")
    states = random.getstate(), torch.get_rng_state()
    again = draw_batch(samples, model, store, 0.7, "0 fuse 5 0")
    assert_equal(first, again)
    assert not pixels_of(other).equal(pixels_of(first))
    assert not (
        other.text.ids.shape == first.text.ids.shape and other.text.ids.equal(first.text.ids)
    )
    # Nor does it advance the global generators.
    assert random.getstate() == states[0]
    assert torch.get_rng_state().equal(states[1])


def test_each_image_is_there_once_and_rows_point_at_it(colours: Colours, model: TMCIR) -> None:
    samples = composed("ab", "ba", "ac", "hb", "ab", "cd")
    batch = draw_batch(samples, model, ImageStore(model, colours.image_path, PLENTY), 0.5, "seed")
    names = names_of(batch, model)
    assert sorted(names) == ["a", "b", "c", "d", "h"]
    assert batch.images.shape == (5, 3, 16, 16) and batch.images.dtype == torch.float32
    assert batch.reference is not None
    assert [names[row] for row in batch.reference] == list("abahac")
    assert [names[row] for row in batch.target] == list("bacbbd")
    assert set(colours.reads.values()) == {1}


def test_pairs_of_image_and_text_have_no_reference(colours: Colours, model: TMCIR) -> None:
    samples = [Sample(name, (f"colour {name}",)) for name in "cac"]
    batch = draw_batch(samples, model, ImageStore(model, colours.image_path, PLENTY), 0.5, "seed")
    names = names_of(batch, model)
    assert sorted(names) == ["a", "c"]
    assert batch.reference is None
    assert [names[row] for row in batch.target] == ["c", "a", "c"]
    whole = model.encoder.tokenize(["colour c", "colour a", "colour c"])
    assert batch.text.ids.equal(whole.ids) and batch.text.lengths.equal(whole.lengths)


def test_every_text_of_a_sample_is_equally_likely(colours: Colours, model: TMCIR) -> None:
    texts = ("red", "blue", "in green")
    samples = [Sample("a", texts)] * 900
    store = ImageStore(model, colours.image_path, PLENTY)
    batch = draw_batch(samples, model, store, 1.0, "seed")
    kinds, counts = batch.text.ids.unique(dim=0, return_counts=True)
    assert kinds.equal(model.encoder.tokenize(list(texts)).ids.unique(dim=0))
    # 300 each, with a standard deviation of sqrt(900 * 1/3 * 2/3) = 14.
    assert all(240 < count < 360 for count in counts.tolist())


def test_a_missing_image_is_named(colours: Colours, model: TMCIR) -> None:
    with pytest.raises(ImageError, match="no image 'z'"):
        draw_batch(
            composed("az"), model, ImageStore(model, colours.image_path, PLENTY), 1.0, "seed"
        )


# Groups


def groups_of(colours: Colours, model: TMCIR, samples: list[Sample]) -> list[int]:
    return draw_batch(
        samples, model, ImageStore(model, colours.image_path, 0), 1.0, "seed"
    ).groups.tolist()


def test_equal_texts_are_one_group_whatever_their_case(colours: Colours, model: TMCIR) -> None:
    texts = ["red", "RED", " Red\n", "reds", "Größe", "GRÖSSE", "blue", ""]
    groups = groups_of(colours, model, [Sample("a", (text,)) for text in texts])
    # casefold: the sharp s is equal to its capitals, SS.
    assert [groups.index(group) for group in groups] == [0, 0, 0, 3, 4, 4, 6, 7]


def test_the_drawn_text_makes_the_group(colours: Colours, model: TMCIR) -> None:
    samples = [Sample("a", ("red", "blue"))] * 20
    batch = draw_batch(samples, model, ImageStore(model, colours.image_path, PLENTY), 1.0, "seed")
    drawn, group_of_text = batch.text.ids.unique(dim=0, return_inverse=True)
    assert len(drawn) == 2
    same_text = group_of_text[:, None] == group_of_text
    assert (batch.groups[:, None] == batch.groups).equal(same_text)


def test_a_given_group_counts_and_the_text_does_not(colours: Colours, model: TMCIR) -> None:
    keys = [("a", "b"), ("a",), ("a", "b"), ("ab",), ("b", "a", "c"), ("A", "b")]
    samples = [Sample("a", ("the same",), reference="b", group=key) for key in keys]
    groups = groups_of(colours, model, samples)
    assert [groups.index(group) for group in groups] == [0, 1, 0, 3, 4, 5]


def test_group_numbers_are_the_same_in_every_process(colours: Colours, model: TMCIR) -> None:
    # The first 8 bytes of BLAKE2b of "red", and of "a" and "b" on two lines, without the last bit.
    samples = [Sample("a", ("Red",)), Sample("a", ("x",), group=("a", "b"))]
    assert groups_of(colours, model, samples) == [501179216621282385, 6032278102983363503]


def test_seeds_are_the_same_in_every_process_and_differ() -> None:
    assert seeded("seed").initial_seed() == 6694477753945771370
    draws = [torch.rand(4, generator=seeded(text)) for text in ("a", "b", "a")]
    assert draws[0].equal(draws[2]) and not draws[0].equal(draws[1])


# Micro-batches


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9),
    negatives=st.none() | st.lists(st.integers(-1, 5), min_size=9, max_size=9),
    max_images=st.integers(1, 7),
    with_reference=st.booleans(),
)
def test_micro_batches_have_just_the_images_that_they_name(
    pairs: list[tuple[int, int]],
    negatives: list[int] | None,
    max_images: int,
    with_reference: bool,
) -> None:
    count = len(pairs)
    reference, target = torch.tensor(pairs).T
    further = None if negatives is None else torch.tensor(negatives)[:count, None]
    pixels = torch.arange(6 * 3 * 4.0).view(6, 3, 2, 2)
    text = TextTokens(torch.arange(5 * count).view(count, 5), torch.arange(count))
    whole = Batch(
        pixels,
        text,
        target,
        reference if with_reference else None,
        torch.arange(count) % 3,
        further,
    )
    parts = whole.split(max_images)
    assert all(len(part.images) <= max_images or len(part.target) == 1 for part in parts)

    row = 0
    for part in parts:
        named = set()
        assert (part.reference is not None) == with_reference
        for place in range(len(part.target)):
            named.add(pairs[row][1])
            assert pixels_of(part)[part.target[place]].equal(pixels[pairs[row][1]])
            if part.reference is not None:
                named.add(pairs[row][0])
                assert pixels_of(part)[part.reference[place]].equal(pixels[pairs[row][0]])
            if negatives is not None and part.negatives is not None:
                (negative,) = part.negatives[place].tolist()
                assert (negative == -1) == (negatives[row] == -1)
                if negative >= 0:
                    named.add(negatives[row])
                    assert pixels_of(part)[negative].equal(pixels[negatives[row]])
            assert part.text.ids[place].equal(text.ids[row])
            assert part.text.lengths[place] == text.lengths[row]
            assert part.groups[place] == whole.groups[row]
            row += 1
        assert part.images.equal(pixels[sorted(named)])
    assert row == count


def test_a_micro_batch_takes_as_many_pairs_as_fit() -> None:
    # Pairs of 2, 1 new, 2 new and 1 image: {0, 1}, {0, 1, 2}, {3, 4}, {3}.
    reference, target = torch.tensor([[0, 1], [1, 2], [3, 4], [3, 3]]).T
    text = TextTokens(torch.zeros(4, 3, dtype=torch.long), torch.full((4,), 3))
    whole = Batch(torch.arange(5.0), text, target, reference, torch.arange(4))
    sizes = {n: [len(part.target) for part in whole.split(n)] for n in (1, 2, 3, 4, 5)}
    assert sizes == {1: [1, 1, 1, 1], 2: [1, 1, 2], 3: [2, 2], 4: [2, 2], 5: [4]}


def test_a_batch_that_fits_is_one_part(colours: Colours, model: TMCIR) -> None:
    samples = composed("ab", "ca", "bh")
    batch = draw_batch(samples, model, ImageStore(model, colours.image_path, PLENTY), 1.0, "seed")
    for size in (4, 100):
        (part,) = batch.split(size)
        names, own = names_of(batch, model), names_of(part, model)
        assert sorted(own) == sorted(names)
        assert [own[row] for row in part.target] == [names[row] for row in batch.target]


# Crops


def test_a_crop_of_everything_is_the_image_or_its_mirror() -> None:
    images = torch.randint(0, 256, (40, 3, 7, 7), generator=seeded("images"), dtype=torch.uint8)
    crops = Augmentation(1.0, mirror=True)(images, seeded("crops"))
    assert crops.dtype == torch.float32
    mirrored = 0
    for image, crop in zip(images, crops.round().to(torch.uint8), strict=True):
        assert crop.equal(image) or crop.equal(image.flip(2))
        mirrored += int(crop.equal(image.flip(2)))
    # 20 of 40, with a standard deviation of sqrt(40 / 4) = 3.2.
    assert 8 < mirrored < 32


def test_without_mirror_a_crop_of_everything_is_the_image() -> None:
    images = torch.randint(0, 256, (9, 3, 7, 7), generator=seeded("images"), dtype=torch.uint8)
    crops = Augmentation(1.0, mirror=False)(images, seeded("crops"))
    assert crops.dtype == torch.float32
    assert crops.equal(images.float())


def test_mirroring_changes_nothing_else_of_a_crop() -> None:
    images = torch.randint(0, 256, (20, 3, 8, 8), generator=seeded("images"), dtype=torch.uint8)
    plain, mirrored = (
        Augmentation(0.6, mirror=mirror)(images, seeded("crops")) for mirror in (False, True)
    )
    # A mirrored crop is the mirror image of the same crop.
    same = [crop.allclose(other, atol=1e-2) for crop, other in zip(plain, mirrored, strict=True)]
    flipped = [
        crop.flip(-1).allclose(other, atol=1e-2)
        for crop, other in zip(plain, mirrored, strict=True)
    ]
    assert all(one != other for one, other in zip(same, flipped, strict=True))
    assert 0 < sum(flipped) < 20


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 1.0), st.integers(0, 10_000))
def test_crops_are_square_and_inside_the_image(min_crop: float, seed: int) -> None:
    side = 16
    # The value says the place: channel 0 the column's centre, channel 1 the row's, as a share.
    ramp = (torch.arange(side) + 0.5) / side
    image = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side)])
    image = torch.cat([image, torch.ones(1, side, side)])
    crops = Augmentation(min_crop, mirror=True)(image.expand(20, 3, side, side), seeded(str(seed)))
    left, right = crops[:, 0, 8, 7], crops[:, 0, 8, 8]
    top, bottom = crops[:, 1, 7, 8], crops[:, 1, 8, 8]
    width, height = (right - left).abs() * side, (bottom - top) * side
    # Not stretched, never upside down, and no smaller than it may be.
    torch.testing.assert_close(width, height, atol=1e-4, rtol=0)
    assert (width > min_crop - 1e-4).all() and (width < 1 + 1e-4).all()
    for centre in ((left + right) / 2, (top + bottom) / 2):
        assert (centre - width / 2 > -1e-4).all() and (centre + width / 2 < 1 + 1e-4).all()
    torch.testing.assert_close(crops[:, 2], torch.ones(20, side, side))


def test_sides_and_places_of_crops_fill_their_range() -> None:
    side = 16
    ramp = (torch.arange(side) + 0.5) / side
    image = torch.stack(
        [ramp.expand(side, side), ramp[:, None].expand(side, side), torch.ones(16, 16)]
    )
    crops = Augmentation(0.6, mirror=True)(image.expand(400, 3, side, side), seeded("crops"))
    widths = (crops[:, 0, 8, 8] - crops[:, 0, 8, 7]).abs() * side
    assert 0.6 <= widths.min() + 1e-4 < 0.61 and 0.99 < widths.max() < 1 + 1e-4
    # Uniform on [0.6, 1]: the mean is 0.8, with a standard error of 0.4 / sqrt(12 * 400) = 0.006.
    assert widths.mean().item() == pytest.approx(0.8, abs=0.03)
    for channel in (0, 1):
        centres = crops[:, channel, 7:9, 7:9].mean(dim=(1, 2))
        assert centres.mean().item() == pytest.approx(0.5, abs=0.03)
        assert centres.min() < 0.36 and centres.max() > 0.64


def test_crops_follow_their_generator() -> None:
    images = torch.randint(0, 256, (4, 3, 8, 8), generator=seeded("images"), dtype=torch.uint8)
    crop = Augmentation(0.5, mirror=True)
    first, again, other = (crop(images, seeded(seed)) for seed in ("a", "a", "b"))
    assert first.equal(again)
    assert not first.equal(other)
    # Four equal images get four different crops.
    same = crop(images[:1].expand(4, 3, 8, 8), seeded("a"))
    assert len(same.unique(dim=0)) == 4
    assert first.min() >= 0 and first.max() <= 255


# The image store


def test_images_are_read_once(colours: Colours, model: TMCIR) -> None:
    store = ImageStore(model, colours.image_path, PLENTY)
    store.read(["a", "b", "a"])
    pixels = store.get(["b", "a", "b", "c"])
    store.get(["c"])
    assert colours.reads == {"a": 1, "b": 1, "c": 1}
    assert pixels.shape == (4, 3, 16, 16) and pixels.dtype == torch.uint8
    assert pixels.equal(model.read_pixels([colours.root / f"{name}.png" for name in "babc"]))


def test_without_memory_nothing_is_kept_and_the_pixels_are_the_same(
    colours: Colours, model: TMCIR
) -> None:
    store = ImageStore(model, colours.image_path, 0)
    store.read(NAMES)
    assert colours.reads.total() == 0
    pixels = store.get(["a", "b"])
    assert store.get(["a", "b"]).equal(pixels)
    assert colours.reads == {"a": 2, "b": 2}
    assert ImageStore(model, colours.image_path, PLENTY).get(["a", "b"]).equal(pixels)


@pytest.mark.parametrize("limit", [2 * ONE_IMAGE, 3 * ONE_IMAGE - 1])
def test_the_limit_counts_whole_images(colours: Colours, model: TMCIR, limit: int) -> None:
    store = ImageStore(model, colours.image_path, limit)
    store.read("abcd")
    assert colours.reads == {"a": 1, "b": 1}
    for _ in range(2):
        pixels = store.get(["d", "b", "c", "a", "b"])
        assert pixels.equal(
            ImageStore(model, Colours(colours.root).image_path, PLENTY).get(list("dbcab"))
        )
    assert colours.reads == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_chunks_that_do_not_divide_read_every_image(
    colours: Colours, model: TMCIR, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ImageStore(model, colours.image_path, PLENTY).get(NAMES)
    monkeypatch.setattr(images_module, "READ_CHUNK", 3)
    store = ImageStore(model, colours.image_path, PLENTY)
    store.read(NAMES)
    assert set(colours.reads.values()) == {2}
    assert store.get(NAMES).equal(whole)
    assert len(whole.unique(dim=0)) == len(NAMES)


def test_a_broken_image_is_named_by_its_reader(colours: Colours, model: TMCIR) -> None:
    (colours.root / "b.png").write_bytes(b"not an image")
    for limit in (0, PLENTY):
        with pytest.raises(ImageError, match=r"b\.png"):
            ImageStore(model, colours.image_path, limit).get(["a", "b"])
