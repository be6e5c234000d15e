"""What holds for every composition method: one interface, one model directory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import tmcir
from tests.tiny import METHODS, build_model
from tmcir.core.errors import TMCIRError
from tmcir.data.fashion_products import FashionProducts
from tmcir.models import TMCIR, Explanation
from tmcir.models.composer import Composer
from tmcir.models.methods import build_composer, composer_class, method_names

TEXTS = ["red jeans", "for women", "striped", "in blue instead of green", "caps"]
# Of the others the paper starts weights at random.
SUM_AT_FIRST = {"tmcir", "gate", "weighted-sum"}


@pytest.fixture(scope="module", params=method_names())
def any_model(request: pytest.FixtureRequest, products: FashionProducts) -> TMCIR:
    return build_model(products, method=request.param)


def test_every_method_is_known_here() -> None:
    assert list(METHODS) == method_names()
    assert all(issubclass(composer_class(name), Composer) for name in method_names())
    assert all(
        "http" in composer_class(name).title for name in set(METHODS) - {"gate", "weighted-sum"}
    )


def test_every_method_composes_unit_vectors_whatever_the_batch(
    any_model: TMCIR, photos: list[Path]
) -> None:
    queries = any_model.compose(photos, TEXTS)
    assert queries.dtype == torch.float32 and queries.shape == (5, any_model.embedding_size)
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(any_model.compose(photos, TEXTS, batch_size=2), queries)


def test_before_training_some_methods_are_the_normalised_sum(
    any_model: TMCIR, photos: list[Path]
) -> None:
    total = any_model.encode_images(photos) + any_model.encode_texts(TEXTS)
    gap = (any_model.compose(photos, TEXTS) - functional.normalize(total, dim=-1)).abs().max()
    assert (gap < 1e-6) == (any_model.method in SUM_AT_FIRST)


@pytest.mark.slow
def test_balance_and_blank_texts_work_for_every_method(
    any_model: TMCIR, photos: list[Path]
) -> None:
    image, text = any_model.encode_images(photos), any_model.encode_texts(TEXTS)
    torch.testing.assert_close(any_model.compose(photos, TEXTS, balance=-1), image)
    torch.testing.assert_close(any_model.compose(photos, TEXTS, balance=1), text)
    torch.testing.assert_close(any_model.compose(photos[:1], [" "]), image[:1])


def test_every_method_explains_what_it_can(any_model: TMCIR, photos: list[Path]) -> None:
    explained = any_model.explain(photos[0], "red striped jeans")
    assert isinstance(explained, Explanation)
    assert explained.words == ["red", "striped", "jeans"] and explained.grid == (2, 2)
    assert (explained.gate is None) == (any_model.method in ("tirg", "pic2word"))
    assert explained.gate is None or sum(explained.gate) == pytest.approx(2)
    query = any_model.compose(photos[:1], ["red striped jeans"])[0]
    parts = any_model.encode_images(photos[:1]), any_model.encode_texts(["red striped jeans"])
    assert explained.similarity == pytest.approx([float(part[0] @ query) for part in parts])
    assert (explained.token_effect is None) == (any_model.method != "tmcir")
    merge = (
        *(explained.matched_share, explained.merged),
        *(explained.image_share, explained.threshold),
    )
    assert [part is None for part in merge] == [any_model.method != "tmcir"] * 4


def test_saving_and_loading_give_the_same_method(
    any_model: TMCIR, photos: list[Path], tmp_path: Path
) -> None:
    if any_model.method == "weighted-sum":
        any_model.composer.weight.fill_(0.3)
    any_model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["method"]["name"] == any_model.method
    loaded = tmcir.load(tmp_path, device="cpu")
    assert (loaded.method, loaded.identity) == (any_model.method, any_model.identity)
    assert torch.equal(loaded.compose(photos, TEXTS), any_model.compose(photos, TEXTS))


def test_every_method_has_gradients_in_towers_and_own_weights(
    products: FashionProducts, photos: list[Path], any_model: TMCIR
) -> None:
    model = build_model(products, method=any_model.method)
    if model.method == "tmcir":  # its output starts at zero, and lets nothing through
        torch.nn.init.normal_(model.get_parameter("composer.output.weight"))
    image = model.encoder.image_features(model.preprocess(photos))
    text = model.encoder.text_features(model.encoder.tokenize(TEXTS))
    model(image, text).query[:, 0].sum().backward()
    own = dict(model.composer.named_parameters())
    assert [key for key, weight in own.items() if weight.grad is None] == []
    towers = model.encoder.clip.visual_projection, model.encoder.clip.text_projection
    assert all(tower.weight.grad.abs().sum() > 0 for tower in towers)


def test_identities_of_methods_differ(products: FashionProducts) -> None:
    models = [build_model(products, method=name) for name in method_names()]
    assert len({model.identity for model in models}) == len(models)
    # Without weights of its own and with equal settings a method still has its own identity.
    model = build_model(products, method="tirg")
    before = model.identity
    model.method = "combiner"
    assert model.identity != before


def test_the_identity_knows_settings_and_preprocessing_but_no_name(
    products: FashionProducts,
) -> None:
    model, other = build_model(products), build_model(products, kappa=2.0)
    other.load_state_dict(model.state_dict())
    assert model.identity != other.identity
    before = model.identity
    model.name = "renamed"
    assert model.identity == before
    model.encoder.preprocessor = replace(model.encoder.preprocessor, fit="pad")
    assert model.identity != before


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("combine", {}, "unknown method 'combine': did you mean 'combiner'?"),
        ("tirg", {"dropout": 0.5}, "method tirg: dropout: .*not permitted"),
        ("combiner", {"dropout": 1}, "method combiner: dropout: .*less than 1"),
    ],
)
def test_an_unknown_method_or_setting_is_named(
    model: TMCIR, method: str, settings: dict[str, float], expected: str
) -> None:
    with pytest.raises(TMCIRError, match=expected):
        build_composer(method, model.encoder, settings)


def test_a_directory_of_a_method_that_is_unknown_is_explained(model: TMCIR, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"name": "tmcir"', '"name": "later"'))
    with pytest.raises(TMCIRError, match="unknown method 'later'"):
        tmcir.load(tmp_path)


@pytest.mark.slow
def test_baselines_are_imported_when_they_are_used() -> None:
    script = (
        "import sys, tmcir.models;"
        "print([name for name in sys.modules if name.endswith(('tirg', 'combiner', 'pic2word'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
