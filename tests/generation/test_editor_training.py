"""An editor of our own: its autoencoder, its examples, and whole trainings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.generation.tiny_pipelines import edit_index
from tests.generation.tiny_recipes import SIDE, editor_recipe
from tmcir.core.errors import ImageError, TMCIRError
from tmcir.data.dataset import Triplet
from tmcir.data.fashion_products import FashionProducts
from tmcir.generation import (
    EditorSettings,
    load_editor,
    load_editor_recipe,
    train_editor,
)
from tmcir.generation import train as train_module
from tmcir.generation.autoencoder import PatchAutoencoder, encode_all, to_pixels
from tmcir.generation.examples import (
    EditBatch,
    Example,
    NearestTargets,
    TextStates,
    draw,
    examples,
)
from tmcir.generation.train import denoising_loss
from tmcir.runs.recipes import recipe_names

PIPELINE = "StableDiffusionInstructPix2PixPipeline"


class StoppedError(Exception):
    pass


# The autoencoder


def random_images(count: int = 24, side: int = 8) -> Tensor:
    """Blocks of colour and a little noise: few components say most of it."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(40, 216, (count, 3, side // 4, side // 4), generator=generator)
    large = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    noise = torch.randint(-8, 9, (count, 3, side, side), generator=generator)
    return (large + noise).to(torch.uint8)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("patch", [2, 4])
def test_all_components_together_lose_nothing(patch: int, whitening: float) -> None:
    images = random_images()
    autoencoder = PatchAutoencoder.fit(images, patch, 3 * patch**2, whitening)
    pixels = to_pixels(images)
    latents = autoencoder.encode(pixels).latents
    assert latents.shape == (24, 3 * patch**2, 8 // patch, 8 // patch)
    assert (autoencoder.decode(latents).sample - pixels).abs().max() < 1e-4
    # Nor of pictures that it has not seen.
    other = to_pixels(random_images().flip(1, 3))
    assert (autoencoder.decode(autoencoder.encode(other).latents).sample - other).abs().max() < 1e-4


@pytest.mark.parametrize("kept", [1, 3, 7, 11])
def test_fewer_components_lose_the_variance_of_dropped_ones(kept: int) -> None:
    images = random_images()
    pixels = to_pixels(images)
    autoencoder = PatchAutoencoder.fit(images, 2, kept, 0.5)
    loss = (autoencoder.decode(autoencoder.encode(pixels).latents).sample - pixels).square()
    # The same by a singular value decomposition of the patches, one row for each.
    rows = [
        pixels[n, :, y : y + 2, x : x + 2].reshape(-1).numpy()
        for n in range(24)
        for y in range(0, 8, 2)
        for x in range(0, 8, 2)
    ]
    centred = np.stack(rows).astype(np.float64) - np.mean(rows, axis=0)
    dropped = np.linalg.svd(centred, compute_uv=False)[kept:]
    assert loss.sum().item() == pytest.approx((dropped**2).sum(), rel=1e-3)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_scaled_latents_have_deviation_one(whitening: float) -> None:
    images = random_images(count=200)
    autoencoder = PatchAutoencoder.fit(images, 2, 5, whitening)
    latents = autoencoder.encode(to_pixels(images)).latents * autoencoder.config.scaling_factor
    assert latents.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.01)
    deviations = latents.transpose(0, 1).flatten(1).std(dim=1)
    # Powers of whitening: at 1 all channels weigh the same, at 0 as much as in the pixels.
    assert deviations.tolist() == sorted(deviations.tolist(), reverse=True) or whitening == 1
    spread = (deviations.max() / deviations.min()).item()
    assert (spread < 1.01) if whitening == 1 else (spread > 1.5)


def test_flat_photos_can_be_encoded() -> None:
    images = torch.full((4, 3, 8, 8), 200, dtype=torch.uint8)
    autoencoder = PatchAutoencoder.fit(images, 2, 12, 1.0)
    latents = autoencoder.encode(to_pixels(images)).latents
    assert latents.isfinite().all()
    assert (autoencoder.decode(latents).sample - to_pixels(images)).abs().max() < 1e-4


def test_an_autoencoder_is_saved_and_loaded(tmp_path: Path) -> None:
    images = random_images()
    autoencoder = PatchAutoencoder.fit(images, 4, 6, 0.5)
    autoencoder.save_pretrained(tmp_path)
    again = PatchAutoencoder.from_pretrained(tmp_path)
    assert (again.config.patch_size, again.config.latent_channels) == (4, 6)
    assert again.config.scaling_factor == autoencoder.config.scaling_factor != 1
    # As many as pipelines count for two halvings: 4 pixels a side are one latent.
    assert len(again.config.block_out_channels) == 3
    pixels = to_pixels(images)
    latents = autoencoder.encode(pixels).latents
    assert again.encode(pixels).latents.equal(latents)
    assert again.decode(latents).sample.equal(autoencoder.decode(latents).sample)
    assert again.decode(latents, return_dict=False)[0].equal(again.decode(latents).sample)


@pytest.mark.parametrize("size", [1, 7, 24, 100])
def test_every_photo_and_its_mirror_image_are_encoded(size: int) -> None:
    images = random_images()
    autoencoder = PatchAutoencoder.fit(images, 2, 5, 0.5)
    latents = encode_all(autoencoder, images, size)
    assert latents.shape == (2, 24, 5, 4, 4)
    plain = autoencoder.encode(to_pixels(images)).latents
    mirrored = autoencoder.encode(to_pixels(images.flip(-1))).latents
    torch.testing.assert_close(latents, torch.stack([plain, mirrored]))


# Targets

# Cosines with a = (1, 0): b 0.6, c 0.8, d 0.6, e -1.
NAMES = ["a", "b", "c", "d", "e"]
EMBEDDINGS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.6, -0.8], [-1.0, 0.0]])


def nearest(answers: str, count: int, reference: str = "a", target: str = "b") -> tuple[str, ...]:
    triplet = Triplet("1", reference, "in red", target=target, answers=tuple(answers))
    return NearestTargets(NAMES, EMBEDDINGS, count).of(triplet)


def test_the_nearest_answers_are_the_targets() -> None:
    assert nearest("ebc", 1) == ("c",)
    assert nearest("ebc", 2) == ("c", "b")
    assert nearest("ebc", 3) == nearest("ebc", 9) == ("c", "b", "e")
    # From e everything lies the other way round.
    assert nearest("acd", 2, reference="e") == ("d", "c")


def test_ties_go_by_the_order_of_the_answers() -> None:
    assert nearest("db", 2) == ("d", "b")
    assert nearest("bd", 2) == ("b", "d")
    assert nearest("dbc", 2) == ("c", "d")


def test_a_reference_is_never_its_own_target() -> None:
    assert nearest("abc", 1) == ("c",)
    assert nearest("abc", 5) == ("c", "b")


def test_without_a_choice_the_target_is_the_triplets_own() -> None:
    assert nearest("ebc", 0) == ("b",)
    assert nearest("", 3) == ("b",)


def test_an_epoch_of_examples_has_every_triplet_with_a_target(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train")
    names = dataset.image_names()
    found = examples(dataset, 1, NearestTargets(names, torch.empty(len(names), 2), 0))
    assert found == [
        Example(triplet.reference, triplet.training_texts, (str(triplet.target),))
        for triplet in dataset.training_triplets(1)
    ]


# Batches

ROWS = {"a": 0, "b": 1, "c": 2}
#: The latent of an image is its number, counted from 1; of its mirror image the negative.
NUMBERS = torch.tensor([1.0, 2.0, 3.0])
LATENTS = torch.stack([NUMBERS, -NUMBERS])[..., None, None, None].expand(2, 3, 2, 2, 2)
TIMESTEPS = 1000


def encode(texts: list[str]) -> Tensor:
    """Tell a text by its length."""
    return torch.tensor([[[float(len(text))]] for text in texts])


def drawn(
    count: int = 2000,
    seed: str = "seed",
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0),
    scaling: float = 1.0,
) -> EditBatch:
    chosen = [Example("a", ("red", "in blue"), ("b", "c"))] * count
    return draw(chosen, ROWS, LATENTS, scaling, TextStates(encode), dropout, TIMESTEPS, seed)


def fields(batch: EditBatch) -> list[Tensor]:
    return [batch.reference, batch.target, batch.text, batch.noise, batch.timestep]


def test_a_batch_depends_on_its_seed_alone() -> None:
    first = drawn(16, dropout=(0.2, 0.2, 0.2))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    other = drawn(16, seed="other", dropout=(0.2, 0.2, 0.2))
    again = drawn(16, dropout=(0.2, 0.2, 0.2))
    assert all(map(torch.equal, fields(first), fields(again)))
    assert not any(map(torch.equal, fields(first), fields(other)))
    assert torch.get_rng_state().equal(state)


def test_both_images_of_an_edit_are_mirrored_or_neither() -> None:
    batch = drawn()
    reference, target = batch.reference[:, 0, 0, 0], batch.target[:, 0, 0, 0]
    assert reference.sign().equal(target.sign())
    assert set(reference.tolist()) == {1.0, -1.0} and set(target.abs().tolist()) == {2.0, 3.0}
    # 1,000 each, with a standard deviation of 22.
    for share in (reference > 0, target.abs() == 2, batch.text[:, 0, 0] == len("red")):
        assert 900 < share.sum() < 1100
    assert batch.reference.shape == batch.target.shape == batch.noise.shape == (2000, 2, 2, 2)


def test_random_numbers_are_independent_of_each_other() -> None:
    batch = drawn()
    columns = [
        batch.reference[:, 0, 0, 0],
        batch.target[:, 0, 0, 0].abs(),
        batch.text[:, 0, 0],
        batch.timestep.float(),
        *batch.noise.flatten(1).T[:3],
    ]
    correlations = torch.corrcoef(torch.stack(columns)) - torch.eye(7)
    assert correlations.abs().max() < 0.1  # a standard deviation is 0.022


def test_noise_is_normal_and_timesteps_are_uniform() -> None:
    batch = drawn()
    assert batch.noise.mean().abs() < 0.03 and abs(batch.noise.std() - 1) < 0.03
    assert batch.timestep.min() >= 0 and batch.timestep.max() < TIMESTEPS
    quarters = batch.timestep.div(TIMESTEPS // 4, rounding_mode="floor").bincount(minlength=4)
    assert quarters.shape == (4,) and all(400 < count < 600 for count in quarters.tolist())


def test_targets_are_scaled_and_references_are_not() -> None:
    plain, scaled = drawn(scaling=1.0), drawn(scaling=4.0)
    assert scaled.reference.equal(plain.reference)
    assert scaled.target.equal(4 * plain.target)


def test_texts_and_references_are_skipped_as_often_as_asked() -> None:
    batch = drawn(4000, dropout=(0.2, 0.3, 0.1))
    blank = batch.text[:, 0, 0] == 0
    hidden = (batch.reference == 0).flatten(1).all(dim=1)
    shares = [blank & ~hidden, hidden & ~blank, blank & hidden]
    # A standard deviation is 30 at most.
    for share, expected in zip(shares, (800, 1200, 400), strict=True):
        assert abs(int(share.sum()) - expected) < 120
    assert not (batch.target == 0).any()
    everything = drawn(50, dropout=(0.0, 0.0, 1.0))
    assert not everything.text.any() and not everything.reference.any()
    nothing = drawn(50)
    assert nothing.text.all() and nothing.reference.all()


def test_a_text_is_encoded_once() -> None:
    asked: list[list[str]] = []

    def slow(texts: list[str]) -> Tensor:
        asked.append(texts)
        return encode(texts)

    states = TextStates(slow)
    assert states.get(["red", "", "red", "blue"]).flatten().tolist() == [3, 0, 3, 4]
    assert states.get(["blue", "green", ""]).flatten().tolist() == [4, 5, 0]
    assert states.get(["red"]).shape == (1, 1, 1)
    assert asked == [["red", "", "blue"], ["green"]]


# The loss

SCHEDULER = DDIMScheduler(
    prediction_type="v_prediction", rescale_betas_zero_snr=True, beta_schedule="scaled_linear"
)


class Predictor(nn.Module):
    """Predicts as ``predict`` says, and keeps what it was given."""

    def __init__(self, predict: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.predict = predict

    def forward(
        self, seen: Tensor, timestep: Tensor, text: Tensor, return_dict: bool
    ) -> tuple[Tensor]:
        self.seen, self.text = seen, text
        return (self.predict(seen, timestep),)


def test_a_perfect_prediction_costs_nothing() -> None:
    batch = drawn(8)
    cumulative = SCHEDULER.alphas_cumprod[batch.timestep][:, None, None, None]
    # v = sqrt(a) * noise - sqrt(1 - a) * target
    velocity = cumulative.sqrt() * batch.noise - (1 - cumulative).sqrt() * batch.target
    model = Predictor(lambda seen, timestep: velocity)
    assert denoising_loss(model, SCHEDULER, batch).item() == pytest.approx(0.0, abs=1e-10)
    # z = sqrt(a) * target + sqrt(1 - a) * noise, and beside it the reference.
    noisy = cumulative.sqrt() * batch.target + (1 - cumulative).sqrt() * batch.noise
    torch.testing.assert_close(model.seen[:, :2], noisy)
    assert model.seen[:, 2:].equal(batch.reference)
    assert model.text.equal(batch.text)


def test_the_last_timestep_hides_the_target_wholly() -> None:
    noise = torch.full((1, 2, 2, 2), 0.5)
    batch = EditBatch(
        reference=torch.zeros(1, 2, 2, 2),
        target=torch.full((1, 2, 2, 2), 3.0),
        text=torch.zeros(1, 1, 1),
        noise=noise,
        timestep=torch.tensor([TIMESTEPS - 1]),
    )
    model = Predictor(lambda seen, timestep: torch.zeros_like(seen[:, :2]))
    # There v = -target: zeros instead cost 3 squared.
    assert denoising_loss(model, SCHEDULER, batch).item() == pytest.approx(9.0)
    torch.testing.assert_close(model.seen[:, :2], noise)


# Whole trainings


@pytest.fixture
def recipe(catalogue: Path, towers: Path, tmp_path: Path) -> Path:
    """A recipe of two steps, whose run lies in ``tmp_path / "run"``."""
    return editor_recipe(tmp_path / "run.yaml", catalogue, towers)


def edit(folder: Path) -> list[Image.Image]:
    editor = load_editor(EditorSettings(source=str(folder), steps=2), device="cpu")
    assert editor.size == SIDE
    images = [Image.new("RGB", (20, 30), colour) for colour in ("red", "blue")]
    return editor.edit(images, ["in green", "for men"], [1, 2])


def weights(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.parent.name}.{name}": value
        for path in sorted(folder.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(first[name].equal(second[name]) for name in first)


def test_a_trained_editor_edits(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    edited = edit(trained)
    assert [(image.mode, image.size) for image in edited] == [("RGB", (SIDE, SIDE))] * 2
    assert all(np.asarray(image).std() > 10 for image in edited)
    # Loading and editing say nothing.
    assert caplog.text == ""


@pytest.mark.slow
def test_a_trained_editor_is_an_ordinary_diffusers_folder(trained: Path) -> None:
    """As the card says, in a process of its own, as another program would."""
    card = (trained / "README.md").read_text()
    block = card.split("or with diffusers", 1)[1].split("## Limits")[0]
    lines = [line[4:] for line in block.splitlines() if line.startswith("    ")]
    script = (
        "import sys",
        "import torch",
        "from PIL import Image",
        f"from diffusers import {PIPELINE}",
        "THIS_FOLDER, texts = sys.argv[1], ['in green', 'for men']",
        "images = [Image.new('RGB', (16, 16), colour) for colour in ('red', 'blue')]",
        *lines[:-1],
        f"found = {lines[-1]}.images",
        "print([(image.mode, image.size) for image in found])",
    )
    finished = subprocess.run(
        [sys.executable, "-c", "\n".join(script), str(trained)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout == f"{[('RGB', (SIDE, SIDE))] * 2}\n"


def test_a_trained_editor_is_saved_small_and_safe(trained: Path) -> None:
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert {"model_index.json", "README.md", "unet/config.json", "vae/config.json"} <= names
    assert {Path(name).suffix for name in names} == {".json", ".md", ".safetensors"}
    assert all(value.dtype in (torch.float16, torch.int64) for value in weights(trained).values())
    # Nothing half-written is left beside it.
    assert {path.name for path in trained.parent.iterdir()} == {"editor", "recipe.json", "denoiser"}


def test_the_card_says_what_the_editor_is(trained: Path, towers: Path) -> None:
    card = (trained / "README.md").read_text()
    for part in (
        "# tiny-editor: an image editor",
        "A tiny editor. An InstructPix2Pix of 16 x 16 pixels",
        "| recipe | `tmcir train-editor tiny-editor` |",
        "| data | fashion-products, training split only |",
        "| latents | 4 principal components of patches of 2 x 2 pixels |",
        "| denoiser | 2 steps of 8 edits |",
        "| started from | random weights |",
        f"| text tower | that of the model {towers} |",
    ):
        assert part in card
    assert "{" not in card.replace("{text}", "")


@pytest.mark.slow
def test_a_training_learns(catalogue: Path, towers: Path, tmp_path: Path) -> None:
    denoiser = {"steps": 60, "batch_size": 16, "learning_rate": 5e-3}
    path = editor_recipe(tmp_path / "run.yaml", catalogue, towers, denoiser=denoiser)
    train_editor(load_editor_recipe(path))
    lines = (tmp_path / "run" / "denoiser" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.slow
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(
    catalogue: Path, towers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"denoiser": {"steps": 6}, "checkpoint_minutes": 1e-9}
    whole, stopped = (
        load_editor_recipe(editor_recipe(tmp_path / f"{name}.yaml", catalogue, towers, **settings))
        for name in ("whole", "stopped")
    )
    expected = train_editor(whole)
    calls = 0

    def fail(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise StoppedError
        return denoising_loss(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(train_module, "denoising_loss", fail)
        with pytest.raises(StoppedError):
            train_editor(stopped)
    assert not (tmp_path / "stopped" / "editor").exists()
    assert_same(weights(expected), weights(train_editor(stopped)))


@pytest.mark.slow
def test_a_finished_training_is_left_as_it_is(recipe: Path, trained: Path) -> None:
    settings = load_editor_recipe(recipe)
    first = weights(train_editor(settings))
    # Two trainings by the same recipe come to the same weights.
    assert_same(first, weights(trained))
    assert_same(first, weights(train_editor(settings)))


@pytest.mark.slow
def test_other_settings_in_the_same_folder_are_rejected(recipe: Path) -> None:
    folder = train_editor(load_editor_recipe(recipe))
    before = weights(folder.parent)
    for override in ("seed=1", "denoiser.steps=3", "nearest_targets=1"):
        with pytest.raises(TMCIRError, match="holds a run with other settings"):
            train_editor(load_editor_recipe(recipe, [override]))
    assert_same(before, weights(folder.parent))


def test_a_training_whose_loss_is_not_finite_stops_with_a_line(recipe: Path) -> None:
    overrides = ["denoiser.learning_rate=1e30", "denoiser.steps=9"]
    with pytest.raises(TMCIRError, match=r"denoiser: the loss is (nan|inf) at step \d"):
        train_editor(load_editor_recipe(recipe, overrides))
    assert not (recipe.with_suffix("") / "editor").exists()


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("text_tower=./nothing", "no such model directory"),
        ("dataset.root=nothing", "no such folder"),
        ("denoiser.batch_size=1000", r"\d+ triplets do not fill a batch of 1000: lower denoiser"),
    ],
)
def test_what_is_missing_is_said_in_a_line(override: str, problem: str, recipe: Path) -> None:
    with pytest.raises(TMCIRError, match=problem) as caught:
        train_editor(load_editor_recipe(recipe, [override]))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_broken_photo_is_named(
    catalogue: Path, towers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    find = FashionProducts.find_image
    monkeypatch.setattr(
        FashionProducts,
        "find_image",
        lambda self, name: tmp_path / "broken.jpg" if name == "102" else find(self, name),
    )
    recipe = editor_recipe(tmp_path / "run.yaml", catalogue, towers)
    with pytest.raises(ImageError, match=r"broken\.jpg: not an image"):
        train_editor(load_editor_recipe(recipe))
    assert (train_editor(load_editor_recipe(recipe, ["dataset.skip_broken=true"]))).is_dir()


def test_edits_are_between_known_images_alone(catalogue: Path) -> None:
    dataset = FashionProducts(catalogue, "train")
    triplet = next(one for one in dataset.training_triplets(0) if len(one.answers) > 2)
    known = sorted({triplet.reference, *triplet.answers})
    gone = known.index(triplet.answers[0])
    vectors = torch.nn.functional.normalize(torch.randn(len(known), 4), dim=1)
    kept = [place for place in range(len(known)) if place != gone]
    choose = NearestTargets([known[place] for place in kept], vectors[kept], count=9)
    assert set(choose.of(triplet)) == set(triplet.answers) - {triplet.answers[0], triplet.reference}
    assert choose.of(replace(triplet, reference="gone")) == ()
    own = NearestTargets([triplet.reference], vectors[:1], count=0)
    assert own.of(triplet) == ()


# Starting from another editor


@pytest.mark.slow
def test_a_training_may_start_from_another_editor(recipe: Path, trained: Path) -> None:
    slow = ["denoiser.learning_rate=1e-9", "denoiser.weight_decay=0", "denoiser.steps=1", "seed=1"]
    folder = train_editor(load_editor_recipe(recipe, [f"start={trained}", *slow]))
    before, after = weights(trained), weights(folder)
    # The latents are the same ones, and a denoiser that hardly learns is that of the other.
    assert_same(*({k: v for k, v in each.items() if "vae" in k} for each in (before, after)))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-3, rtol=1e-3)
    assert f"| started from | {trained} |" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["denoiser.channels=[12]"], "has other sizes than the recipe says"),
        (["autoencoder.latent_channels=3"], "has other sizes than the recipe says"),
        (["autoencoder.patch_size=4"], "has patches of 2 pixels, not of 4"),
        (["start=./nothing"], "nothing is neither a folder nor a shipped editor"),
        (["start=."], r"model_index\.json: no such file"),
    ],
)
def test_an_editor_that_cannot_be_started_from_is_an_error(
    overrides: Sequence[str],
    problem: str,
    recipe: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TMCIRError, match=problem) as caught:
        train_editor(
            load_editor_recipe(recipe, [f"start={trained}", f"output={tmp_path}/run", *overrides])
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_training_does_not_start_from_an_editor_of_another_kind(
    recipe: Path, trained: Path, tmp_path: Path
) -> None:
    foreign = Path(shutil.copytree(trained, tmp_path / "foreign"))
    edit_index(foreign, vae=["diffusers", "AutoencoderKL"])
    with pytest.raises(TMCIRError, match="foreign is not an editor that `tmcir train-editor` made"):
        train_editor(load_editor_recipe(recipe, [f"start={foreign}"]))


# Recipes


@pytest.mark.parametrize("name", recipe_names("train-editor"))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    recipe = load_editor_recipe(name)
    assert recipe.name == name and recipe.description


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["denoiser.channels=[8, 16]"], "attention needs one value for each of channels"),
        (["denoiser.channels=[6]"], "norm_groups and heads must divide every width, such as 6"),
        (["denoiser.heads=3"], "must divide every width"),
        (["denoiser.text_dropout=0.5", "denoiser.image_dropout=0.6"], "must not exceed 1 together"),
        (["autoencoder.patch_size=3"], "patch_size must be a power of two"),
        (["autoencoder.latent_channels=13"], "must not exceed 3 * patch_size ** 2"),
        (["image_size=17"], "image_size must be a multiple of 2 for these resolutions"),
        (
            ["image_size=18", "denoiser.channels=[8, 8]", "denoiser.attention=[true, false]"],
            "image_size must be a multiple of 4 for these resolutions",
        ),
        (["denoiser.step=3"], "denoiser.step: unknown setting, did you mean 'steps'?"),
    ],
)
def test_settings_that_do_not_fit_are_explained(
    overrides: Sequence[str], problem: str, recipe: Path
) -> None:
    with pytest.raises(TMCIRError) as caught:
        load_editor_recipe(recipe, overrides)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_pipeline_of_several_resolutions_can_be_built(
    catalogue: Path, towers: Path, tmp_path: Path
) -> None:
    denoiser = {"channels": [8, 12], "attention": [False, True], "steps": 1}
    path = editor_recipe(tmp_path / "run.yaml", catalogue, towers, denoiser=denoiser)
    folder = train_editor(load_editor_recipe(path))
    assert [image.size for image in edit(folder)] == [(SIDE, SIDE)] * 2
    pipeline = getattr(diffusers, PIPELINE).from_pretrained(folder, safety_checker=None)
    assert pipeline.unet.config.down_block_types == ["DownBlock2D", "CrossAttnDownBlock2D"]
    assert pipeline.unet.config.up_block_types == ["CrossAttnUpBlock2D", "UpBlock2D"]
