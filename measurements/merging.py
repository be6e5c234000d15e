"""What the merge saves: the same model and queries, with all tokens and with the merged ones.

Tokens are those that are left of image and text, on average over the queries.

python measurements/merging.py --root photos

All are timed in turn in one run, from the features of both towers to the query embedding; the
figures are minima over repeats. The weights are those that were trained with the merge: what
the merge does to accuracy is a matter of the benchmark's rows, not of this script.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import tmcir
from tmcir.data.datasets import open_dataset
from tmcir.models.fusion import AdaptiveTokenFusion

REPEATS = 30


def main() -> None:
    """Print sequence lengths and times of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--root", required=True, help="folder of the product photos")
    parser.add_argument("--queries", type=int, default=256)
    arguments = parser.parse_args()

    model = tmcir.load(arguments.model)
    fusion = model.composer
    assert isinstance(fusion, AdaptiveTokenFusion)
    dataset = open_dataset("fashion-products", arguments.root, "test")
    triplets = dataset.triplets[: arguments.queries]
    with torch.inference_mode():
        image = model.image_features([dataset.image_path(one.reference) for one in triplets])
        text = model.text_features([one.text for one in triplets])
    merger, settings = fusion.merger, fusion.merger.settings
    changes: dict[str, dict[str, Any]] = {
        "no merge": {"merge": False},
        "merge": {},
        "merge, kappa 0": {"kappa": 0.0},
    }
    variants = {name: settings.model_copy(update=change) for name, change in changes.items()}
    print(f"{'queries at once':>16}{'':>16}{'tokens':>8}{'ms a query':>12}{'ratio':>8}")
    for size in (1, 32, len(triplets)):
        rows = torch.arange(size, device=model.device)
        chosen = image.select(rows), text.select(rows)
        fastest: dict[str, float] = {}
        tokens: dict[str, float] = {}
        for repeat in range(REPEATS + 3):
            for name, merger.settings in variants.items():
                began = time.perf_counter()
                with torch.inference_mode():
                    merged = fusion(*chosen).merge
                if model.device.type == "cuda":
                    torch.cuda.synchronize(model.device)
                spent = time.perf_counter() - began
                assert merged is not None
                left = (merged.absorbed < 1).sum(dim=1) + chosen[1].mask.sum(dim=1)
                tokens[name] = float(left.float().mean())
                if repeat >= 3:
                    passed = 1000 * spent / size
                    fastest[name] = min(passed, fastest.get(name, passed))
        for name in variants:
            ratio = fastest[name] / fastest["no merge"]
            print(f"{size:>16}{name:>16}{tokens[name]:>8.1f}{fastest[name]:>12.3f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
