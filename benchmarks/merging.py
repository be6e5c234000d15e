"""What the merge saves: the same model and queries, with all tokens and with the merged ones.

python benchmarks/merging.py --root photos

Both are timed in turn in one run, from the features of both towers to the query embedding; the
figures are the least of the repeats. The weights are those that were trained with the merge: what
the merge does to accuracy is a matter of the benchmark's row `no merge`, not of this script.
"""

from __future__ import annotations

import argparse
import time

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
    fusion = model.fusion
    assert isinstance(fusion, AdaptiveTokenFusion)
    dataset = open_dataset("fashion-products", arguments.root, "test")
    triplets = dataset.triplets[: arguments.queries]
    with torch.inference_mode():
        image = model.image_features([dataset.image_path(one.reference) for one in triplets])
        text = model.text_features([one.text for one in triplets])
    print(f"{'queries at once':>16}{'merge':>8}{'tokens read':>13}{'ms a query':>12}{'ratio':>8}")
    for size in (1, 32, len(triplets)):
        rows = torch.arange(size, device=model.device)
        chosen = image.select(rows), text.select(rows)
        least: dict[bool, float] = {}
        tokens: dict[bool, int | None] = {}
        for repeat in range(REPEATS + 3):
            for merge in (False, True):
                fusion.merge = merge
                began = time.perf_counter()
                with torch.inference_mode():
                    tokens[merge] = fusion(*chosen).sequence_length
                if model.device.type == "cuda":
                    torch.cuda.synchronize(model.device)
                if repeat >= 3:
                    passed = 1000 * (time.perf_counter() - began) / size
                    least[merge] = min(passed, least.get(merge, passed))
        for merge in (False, True):
            ratio = least[merge] / least[False]
            print(f"{size:>16}{merge!s:>8}{tokens[merge]:>13}{least[merge]:>12.3f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
