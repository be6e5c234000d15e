"""A composer of your own: written here, trained over frozen towers, compared with the sum.

    python examples/own_composer.py

It learns from drawn garments, which the first run draws into ``drawn``. docs/own-composer.md
explains every part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

import tmcir
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import score_weights, validation_score
from tmcir.models.composer import Composer, ComposerSettings, Composition
from tmcir.models.encoders.base import Encoder
from tmcir.models.features import ImageFeatures, TextFeatures
from tmcir.training import load_recipe, train

RECIPE = """\
name: own-composer
description: a gated product over the frozen towers of mini
dataset: {{name: rendered, root: {root}, options: {{items: {garments}, queries: 300}}}}
model: {{source: mini, method: "own_composer:Product"}}
stages:
  fuse: {{epochs: {epochs}, batch_size: 64, tower_learning_rate: 0.0, views: 2}}
"""


class Product(Composer):
    """q = normalise(v_0 + t_0 + strength * v_0 * (W t_0)): the sum, and a gated product."""

    title = "a gated product"

    class Settings(ComposerSettings):
        """What a recipe may set."""

        strength: float = Field(default=1.0, gt=0, description="Weight of the product.")

    def __init__(self, embedding_size: int, strength: float) -> None:
        super().__init__()
        self.gate = nn.Linear(embedding_size, embedding_size)
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(
        self, image: ImageFeatures, text: TextFeatures, encoder: Encoder | None = None
    ) -> Composition:
        """Compose N queries, [N, D]."""
        product: Tensor = image.pooled * self.gate(text.pooled)
        query = image.pooled + text.pooled + self.strength * product
        return Composition(query=functional.normalize(query.float(), dim=-1))


def main() -> None:
    """Train, and print what the composer and the sum find on garments that neither has seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("drawn"), help="where garments are drawn")
    parser.add_argument("--garments", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()

    recipe = Path("own-composer.yaml")
    recipe.write_text(RECIPE.format(**vars(options)), encoding="utf-8")
    # `own_composer:Product` is found because Python looks for modules beside a script.
    folder = train(load_recipe(str(recipe), []), validation_score, score_weights)

    dataset = open_dataset("rendered", options.root, "test", items=options.garments, queries=300)
    model = tmcir.load(str(folder))
    for method in ("model", "sum"):
        print(tmcir.evaluate(model, dataset, method=method))


if __name__ == "__main__":
    main()
