"""Each pipeline behind the one interface, for real: tiny weights, saved to disk and loaded."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit
from huggingface_hub import constants
from PIL import Image, ImageOps
from safetensors.torch import load_file

from tests.generation.tiny_pipelines import PIPELINES, SIDE, edit_index, save_pipeline
from tmcir.core.errors import TMCIRError
from tmcir.generation import editor as editor_module
from tmcir.generation.editor import Editor, load_editor
from tmcir.generation.pipelines import KINDS, SETTINGS, PipelineKind, call_settings, kind_of
from tmcir.generation.recipe import EditorSettings

# diffusers' Euler schedulers hand a torch tensor to numpy 2.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

PIX2PIX = "StableDiffusionInstructPix2PixPipeline"
SDXL = "StableDiffusionXLImg2ImgPipeline"
SD3 = "StableDiffusion3Img2ImgPipeline"
KONTEXT = "FluxKontextPipeline"
QWEN = "QwenImageEditPipeline"
KIND = {kind.pipeline: kind for kind in KINDS}
ASKED: dict[str, float] = {"steps": 4, "guidance": 6.0, "image_guidance": 1.5, "strength": 0.5}
OTHER: dict[str, float] = {"steps": 2, "guidance": 3.0, "image_guidance": 3.0, "strength": 1.0}
TEXTS = ("in red", "with long sleeves and a collar", "")
SEEDS = (1, 2**63 - 1, 3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each pipeline."""
    root = tmp_path_factory.mktemp("pipelines")
    return {name: save_pipeline(name, root / name) for name in PIPELINES}


@pytest.fixture(autouse=True)
def small_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep Qwen's pipeline from blowing references up to a million pixels."""
    monkeypatch.setattr(
        pipeline_qwenimage_edit, "calculate_dimensions", lambda area, ratio: (SIDE, SIDE, None)
    )


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """An InstructPix2Pix that a test may damage."""
    return Path(shutil.copytree(folders[PIX2PIX], tmp_path / "copied"))


def settings_for(name: str, folder: Path, **changes: Any) -> EditorSettings:
    asked = {setting: ASKED[setting] for setting in KIND[name].arguments}
    return EditorSettings(**{"source": str(folder), "size": SIDE, **asked, **changes})


def load(name: str, folders: dict[str, Path], **changes: Any) -> Editor:
    return load_editor(settings_for(name, folders[name], **changes), device="cpu")


def draw_images() -> list[Image.Image]:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    return [Image.fromarray(block).resize((40, 40)) for block in blocks]


def edit_one(
    editor: Editor, image: Image.Image | None = None, text: str = "in red", seed: int = 1
) -> Image.Image:
    (edited,) = editor.edit([image or draw_images()[0]], [text], [seed])
    return edited


def largest_difference(first: Image.Image, second: Image.Image) -> int:
    """Return by how many grey levels the pixel differs that differs most."""
    pair = [np.asarray(image, dtype=np.int64) for image in (first, second)]
    return int(np.abs(pair[0] - pair[1]).max())


# Editing


@pytest.mark.parametrize("name", PIPELINES)
def test_every_image_is_edited_into_a_square_of_its_own(
    name: str, folders: dict[str, Path]
) -> None:
    editor = load(name, folders)
    assert (editor.name, editor.size) == (str(folders[name]), SIDE)
    assert editor.called == {setting: ASKED[setting] for setting in KIND[name].arguments}
    edited = editor.edit(draw_images()[:2], TEXTS[:2], SEEDS[:2])
    assert [(image.mode, image.size) for image in edited] == [("RGB", (SIDE, SIDE))] * 2
    assert all(np.asarray(image).std() > 10 for image in edited)
    assert largest_difference(*edited) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_a_picture_does_not_depend_on_the_batch_that_it_is_in(
    name: str, folders: dict[str, Path]
) -> None:
    editor = load(name, folders)
    together = editor.edit(draw_images(), TEXTS, SEEDS)
    for image, text, seed, expected in zip(draw_images(), TEXTS, SEEDS, together, strict=True):
        assert largest_difference(edit_one(editor, image, text, seed), expected) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_seed_text_and_image_each_make_a_difference(name: str, folders: dict[str, Path]) -> None:
    editor = load(name, folders)
    edited = edit_one(editor)
    assert largest_difference(edit_one(editor), edited) == 0
    assert largest_difference(edit_one(editor, seed=2), edited) > 10
    assert largest_difference(edit_one(editor, text=TEXTS[1]), edited) > 10
    inverted = ImageOps.invert(draw_images()[0])
    assert largest_difference(edit_one(editor, image=inverted), edited) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "setting"), [(kind.pipeline, setting) for kind in KINDS for setting in kind.arguments]
)
def test_every_setting_reaches_the_pipeline(
    name: str, setting: str, folders: dict[str, Path]
) -> None:
    edited = edit_one(load(name, folders))
    changed = load(name, folders, **{setting: OTHER[setting]})
    assert changed.called[setting] == OTHER[setting]
    assert largest_difference(edit_one(changed), edited) > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PIPELINES if KIND[name].negative])
def test_a_negative_prompt_reaches_the_pipeline(name: str, folders: dict[str, Path]) -> None:
    away = load(name, folders, negative_prompt="ugly")
    edited = away.edit(draw_images()[:2], TEXTS[:2], SEEDS[:2])
    plain = load(name, folders).edit(draw_images()[:2], TEXTS[:2], SEEDS[:2])
    assert all(largest_difference(*pair) > 2 for pair in zip(edited, plain, strict=True))


@pytest.mark.slow
def test_the_text_stands_where_the_prompt_says(folders: dict[str, Path]) -> None:
    templated = load(PIX2PIX, folders, prompt="{text}, a photo of {text}")
    whole = edit_one(load(PIX2PIX, folders), text="{0} red, a photo of {0} red")
    assert largest_difference(edit_one(templated, text="{0} red"), whole) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_references_of_any_shape_become_square(name: str, folders: dict[str, Path]) -> None:
    grey = Image.linear_gradient("L").resize((50, 20)).convert("RGB")
    references = [grey, draw_images()[0].resize((9, 70)), Image.new("RGB", (1, 1), "red")]
    edited = load(name, folders).edit(references, TEXTS, SEEDS)
    assert [(image.mode, image.size) for image in edited] == [("RGB", (SIDE, SIDE))] * 3


@pytest.mark.slow
def test_a_reference_is_cut_or_padded(folders: dict[str, Path]) -> None:
    wide = draw_images()[0].resize((60, 20))
    cut = edit_one(load(PIX2PIX, folders), wide)
    assert largest_difference(edit_one(load(PIX2PIX, folders), wide.crop((20, 0, 40, 20))), cut) > 0
    centre = wide.resize((96, 32)).crop((32, 0, 64, 32))
    assert largest_difference(edit_one(load(PIX2PIX, folders), centre), cut) <= 2
    assert largest_difference(edit_one(load(PIX2PIX, folders, fit="pad"), wide), cut) > 10


def test_nothing_to_edit_gives_nothing(folders: dict[str, Path]) -> None:
    for name in (PIX2PIX, QWEN):
        assert load(name, folders).edit([], [], []) == []


def test_counts_that_differ_are_an_error(folders: dict[str, Path]) -> None:
    with pytest.raises(TMCIRError, match="2 images, 1 texts and 3 seeds do not pair up"):
        load(PIX2PIX, folders).edit(draw_images()[:2], ["in red"], [1, 2, 3])


# Size, precision and memory


def test_without_a_size_the_checkpoint_or_its_kind_says_it(
    folders: dict[str, Path], copied: Path
) -> None:
    assert load(PIX2PIX, folders, size=None).size == SIDE
    assert load(SD3, folders, size=None).size == 1024
    config = copied / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": None}))
    with pytest.raises(TMCIRError, match=r"editor\.size: give it"):
        load_editor(settings_for(PIX2PIX, copied, size=None), device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step"), [(PIX2PIX, 2), (SDXL, 2), (SD3, 4), (KONTEXT, 4), (QWEN, 4)]
)
def test_a_size_that_the_pipeline_would_change_is_an_error(
    name: str, step: int, folders: dict[str, Path]
) -> None:
    for size in (SIDE + 1, SIDE + step - 1):
        with pytest.raises(TMCIRError, match=rf"editor\.size: {size} is not a multiple of {step}"):
            load(name, folders, size=size)
    size = SIDE + step
    assert edit_one(load(name, folders, size=size)).size == (size, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_large_pictures_are_decoded_in_tiles(name: str, folders: dict[str, Path]) -> None:
    whole = edit_one(load(name, folders, size=2 * SIDE))
    tiled = edit_one(load(name, folders, size=2 * SIDE, vae_tiling=True))
    assert tiled.size == (2 * SIDE, 2 * SIDE)
    # Qwen's tiles are larger than that.
    assert (largest_difference(tiled, whole) > 0) == (name != QWEN)


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_half_precision_runs(name: str, folders: dict[str, Path]) -> None:
    half = edit_one(load(name, folders, precision="bfloat16"))
    assert (half.mode, half.size) == ("RGB", (SIDE, SIDE))
    assert np.asarray(half).std() > 10
    assert largest_difference(half, edit_one(load(name, folders))) > 0


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_needs_a_gpu(
    offload: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = settings_for(PIX2PIX, folders[PIX2PIX], offload=offload)
    for device in (None, "cpu"):
        with pytest.raises(TMCIRError, match=rf"editor\.offload={offload} needs a GPU"):
            load_editor(settings, device)


# Which checkpoints load


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "name"), [("StableDiffusionXLPipeline", SDXL), ("StableDiffusion3Pipeline", SD3)]
)
def test_a_checkpoint_that_draws_from_text_edits_as_well(
    base: str, name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[name], tmp_path / base))
    edit_index(folder, _class_name=base)
    edited = edit_one(load_editor(settings_for(name, folder), device="cpu"))
    assert largest_difference(edited, edit_one(load(name, folders))) == 0


@pytest.mark.slow
def test_a_hub_id_is_fetched_without_pickles(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders[PIX2PIX]

    def download(source: str, use_safetensors: bool) -> str:
        assert (source, use_safetensors) == ("maker/editor", True)
        return str(folder)

    monkeypatch.setattr(editor_module, "hf_hub_download", lambda source, file: str(folder / file))
    monkeypatch.setattr(diffusers.StableDiffusionInstructPix2PixPipeline, "download", download)
    editor = load_editor(settings_for(PIX2PIX, Path("maker/editor")), device="cpu")
    assert editor.name == "maker/editor"
    assert largest_difference(edit_one(editor), edit_one(load(PIX2PIX, folders))) == 0


def error_of(folder: Path | str, **changes: Any) -> str:
    """Return what is said of a checkpoint that cannot be loaded: one line that names it."""
    with pytest.raises(TMCIRError) as caught:
        load_editor(EditorSettings(**{"source": str(folder), "size": SIDE, **changes}), "cpu")
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


@pytest.mark.parametrize("source", ["nobody/nothing", "nothing", "./no/such/folder"])
def test_a_name_that_is_nowhere_is_an_error(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "neither a shipped editor" in error_of(source)


def test_a_folder_that_is_no_pipeline_is_an_error(tmp_path: Path) -> None:
    assert "model_index.json: no such file" in error_of(tmp_path)
    (tmp_path / "model_index.json").write_text("[]")
    assert "model_index.json is not an object" in error_of(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    assert "None is not a pipeline that edits" in error_of(tmp_path)


def test_a_pipeline_that_cannot_edit_is_an_error(copied: Path) -> None:
    edit_index(copied, _class_name="StableDiffusionUpscalePipeline")
    message = error_of(copied)
    assert "StableDiffusionUpscalePipeline is not a pipeline that edits; supported: " in message
    assert all(name in message for name in PIPELINES)


WEIGHTS = {
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "text_encoder": ("model.safetensors", "pytorch_model.bin"),
}


@pytest.mark.slow
@pytest.mark.parametrize("part", WEIGHTS)
def test_weights_that_are_missing_broken_or_pickled_are_an_error(part: str, copied: Path) -> None:
    safe, pickled = (copied / part / name for name in WEIGHTS[part])
    torch.save(load_file(safe), pickled)
    content = safe.read_bytes()
    safe.write_bytes(content[: len(content) // 2])
    assert "cannot be loaded: " in error_of(copied)
    safe.unlink()
    assert f"cannot be loaded: Error no file named {safe.name}" in error_of(copied)
    pickled.unlink()
    assert f"cannot be loaded: Error no file named {safe.name}" in error_of(copied)


def test_a_part_that_is_missing_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    for name, part in ((PIX2PIX, "tokenizer"), (SD3, "text_encoder_3"), (QWEN, "processor")):
        folder = Path(shutil.copytree(folders[name], tmp_path / name))
        shutil.rmtree(folder / part)
        assert f"cannot be loaded: its folder {part} is missing" in error_of(folder)


def test_code_in_a_checkpoint_is_not_run(copied: Path) -> None:
    edit_index(copied, unet=["hostile", "UNet"])
    (copied / "unet" / "hostile.py").write_text("raise SystemExit('it was run')\n")
    assert "cannot be loaded: " in error_of(copied)


def test_a_setting_that_the_pipeline_lacks_is_an_error(folders: dict[str, Path]) -> None:
    for name, setting in ((PIX2PIX, "strength"), (SDXL, "image_guidance"), (QWEN, "strength")):
        has = f"{name} has no such setting; it has {', '.join(KIND[name].arguments)}"
        with pytest.raises(TMCIRError, match=rf"editor\.{setting}: {has}$"):
            load(name, folders, **{setting: ASKED[setting]})
    with pytest.raises(TMCIRError, match=r"editor\.negative_prompt: .* has no such setting"):
        load(KONTEXT, folders, negative_prompt="ugly")


@pytest.mark.slow
def test_loading_and_editing_say_nothing(folders: dict[str, Path]) -> None:
    """In a process of its own: importing a pipeline is what the libraries have most to say of."""
    settings = [settings_for(name, folders[name]).model_dump() for name in PIPELINES]
    lines = (
        "import json, sys",
        "from PIL import Image",
        "from tmcir.generation.editor import load_editor",
        "from tmcir.generation.recipe import EditorSettings",
        "for settings in json.loads(sys.argv[1]):",
        "    editor = load_editor(EditorSettings(**settings), device='cpu')",
        f"    if {QWEN!r} not in editor.name:  # there, references are a million pixels large",
        "        editor.edit([Image.new('RGB', (32, 32))], ['in red'], [1])",
    )
    finished = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


# What a pipeline is called with


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.pipeline)
def test_the_pipeline_takes_what_it_is_called_with(kind: PipelineKind) -> None:
    assert set(kind.defaults) == set(kind.arguments) <= set(SETTINGS)
    called = {"prompt", "image", "generator", "output_type", *kind.arguments.values(), *kind.extra}
    if kind.area_argument:
        called.add(kind.area_argument)
    if kind.takes_size:
        called |= {"height", "width"}
    assert called <= set(inspect.signature(getattr(diffusers, kind.pipeline).__call__).parameters)


def test_every_checkpoint_has_one_kind() -> None:
    names = [name for kind in KINDS for name in kind.checkpoints]
    assert len(set(names)) == len(names)
    for name in names:
        assert name in kind_of(name, "here").checkpoints
    with pytest.raises(TMCIRError, match="editor here: Nothing is not a pipeline that edits"):
        kind_of("Nothing", "here")


def test_what_is_not_asked_for_has_the_default_of_the_pipeline() -> None:
    nothing = dict.fromkeys(SETTINGS)
    assert call_settings(KIND[PIX2PIX], nothing) == {
        "steps": 50,
        "guidance": 7.5,
        "image_guidance": 1.5,
    }
    assert call_settings(KIND[SDXL], {}) == {"steps": 40, "guidance": 7.0, "strength": 0.7}
    asked = {**nothing, "guidance": 0.0, "steps": 3}
    assert call_settings(KIND[QWEN], asked) == {"steps": 3, "guidance": 0.0}


def test_zero_is_asked_for_and_none_is_not() -> None:
    assert "strength" not in call_settings(KIND[KONTEXT], {"strength": None})
    with pytest.raises(TMCIRError, match=r"editor\.image_guidance: .* it has steps, guidance$"):
        call_settings(KIND[KONTEXT], {"image_guidance": 0.0})


def test_a_strength_that_leaves_no_step_is_an_error() -> None:
    assert call_settings(KIND[SDXL], {"steps": 4, "strength": 0.25})["strength"] == 0.25
    with pytest.raises(TMCIRError, match=r"editor\.strength: 0\.2 of 4 steps is less than one"):
        call_settings(KIND[SDXL], {"steps": 4, "strength": 0.2})
