"""Calibration of relevance: how often photos of a given relevance are right answers.

Queries with known answers on the product photos, and queries that no product answers: texts of
other things, and with ``--foreign`` a folder of photos of other things (such as those of the
package scikit-image).

    tmcir index shop photos --metadata styles.csv --model mini
    python measurements/relevance.py shop --root data/fashion-products --foreign other-photos

With ``--fit`` the even-numbered queries give the steepness and the offset that fit them best, and
the tables are of the odd-numbered ones.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from tmcir.data.fashion_products import FashionProducts
from tmcir.data.product_wordings import describe
from tmcir.gallery import Gallery, Query
from tmcir.gallery.relevance import OFFSET, STEEPNESS, Background

#: Places in the ranking that are judged, from 0.
PLACES = (0, 1, 2, 3, 4, 6, 9, 14, 24, 49, 99)
BINS = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
OTHER_THINGS = (
    "a motorcycle",
    "a red sports car",
    "a cat on a sofa",
    "a dog in the snow",
    "a plate of spaghetti",
    "a laptop computer",
    "an airplane at the airport",
    "a mountain lake at sunset",
    "a bicycle against a wall",
    "a bunch of bananas",
    "a steam locomotive",
    "a skyscraper at night",
    "a chess board",
    "an electric guitar",
    "a football stadium",
    "a galaxy",
    "a wooden chair",
    "a refrigerator",
    "a city street with traffic",
    "a horse in a field",
    "a bottle of wine",
    "a birthday cake",
    "a smartphone",
    "a screwdriver",
    "a map of europe",
    "a kitchen sink",
    "a bowl of soup",
    "a tree in autumn",
    "a newspaper page",
    "a bridge over a river",
    "a tractor",
    "a toothbrush",
    "a fish tank",
    "a piano",
    "a traffic light",
    "a pile of coins",
    "a lighthouse",
    "a washing machine",
    "a tent in the forest",
    "a kitten playing with wool",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Hits of queries of one kind at `PLACES`.

    Attributes:
        distance: [Q, P]: score minus the gallery's mean score, in spreads of the gallery.
        right: [Q, P]: whether the photo is a right answer.
    """

    distance: NDArray[np.float64]
    right: NDArray[np.bool_]

    def rows(self, chosen: slice) -> Judged:
        """Return some of the queries."""
        return Judged(self.distance[chosen], self.right[chosen])

    def relevance(self) -> NDArray[np.float64]:
        """Return the relevance [Q, P] of the hits."""
        return np.asarray(1 / (1 + np.exp(OFFSET - STEEPNESS * self.distance)))


def known_queries(
    dataset: FashionProducts, count: int
) -> dict[str, tuple[list[Query], list[set[str]], list[str | None]]]:
    """Return queries by kind, the photos that answer each, and the reference, which is no hit."""
    generator = random.Random(0)
    triplets = generator.sample(list(dataset.triplets), count)
    targets = [triplet.target or "" for triplet in triplets]
    captions = [dataset.caption_of(target) for target in targets]
    texts = [describe((*(v.lower() for v in c), ""), generator) for c in captions if c is not None]
    named = {name: dataset.caption_of(name) for name in dataset.image_names()}

    def alike(name: str) -> set[str]:
        return {f"{other}.jpg" for other, caption in named.items() if caption == named[name]}

    composed = [Query(image=dataset.image_path(t.reference), text=t.text) for t in triplets]
    references = [f"{triplet.reference}.jpg" for triplet in triplets]
    return {
        "text": ([Query(text=text) for text in texts], [alike(target) for target in targets], []),
        "photo": (
            [Query(item=name) for name in references],
            [alike(triplet.reference) for triplet in triplets],
            [*references],
        ),
        "photo and text": (
            composed,
            [{f"{name}.jpg" for name in triplet.answers} for triplet in triplets],
            [*references],
        ),
    }


def foreign_queries(photos: Sequence[Path]) -> dict[str, list[Query]]:
    """Return queries, by kind, that no product answers."""
    found = {"other text": [Query(text=text) for text in OTHER_THINGS]}
    if photos:
        found["other photo"] = [Query(image=path) for path in photos]
        found["other photo, in red"] = [Query(image=path, text="in red") for path in photos]
    return found


def judge(
    gallery: Gallery,
    background: Background,
    queries: Sequence[Query],
    answers: Sequence[set[str]] = (),
    references: Sequence[str | None] = (),
) -> Judged:
    """Search for each query, and see which hits are right; without answers none is."""
    vectors = [gallery.embed(queries[at : at + 32]) for at in range(0, len(queries), 32)]
    distance = np.zeros((len(queries), len(PLACES)))
    right = np.zeros(distance.shape, bool)
    for row, vector in enumerate(np.concatenate(vectors)):
        own = float(vector @ background.mean)
        skipped = references[row] if references else None
        hits = [hit for hit in gallery.find(vector, PLACES[-1] + 2) if hit.id != skipped]
        for column, place in enumerate(PLACES):
            distance[row, column] = (hits[place].score - own) / background.spread
            right[row, column] = bool(answers) and hits[place].id in answers[row]
    return Judged(distance, right)


def fit(judged: dict[str, Judged]) -> tuple[float, float]:
    """Return steepness and offset of least squares, queries with and without answers alike."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    distance = np.concatenate([one.distance.ravel() for one in judged.values()])
    right = np.concatenate([one.right.ravel() for one in judged.values()])
    size = {kind: one.right.size for kind, one in judged.items()}
    known = sum(size[kind] for kind, one in judged.items() if one.right.any())
    others = sum(size.values()) - known
    weights = [
        np.full(size[kind], 1 / known if one.right.any() else 0.5 / others)
        for kind, one in judged.items()
    ]
    fitted = LogisticRegression(C=1e6).fit(
        distance[:, None], right, sample_weight=len(right) * np.concatenate(weights)
    )
    return float(fitted.coef_[0, 0]), -float(fitted.intercept_[0])


def draw(judged: dict[str, Judged], path: Path) -> None:
    """Draw the share of right photos over relevance, and the relevance of the best hits."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for kind, one in judged.items():
        best = np.sort(one.relevance()[:, 0])
        right.plot(best, np.linspace(1, 0, len(best)), label=kind)
        if one.right.any():
            rows = calibration(one)
            left.plot([row[1] for row in rows], [row[2] for row in rows], "o-", label=kind)
    left.set(xlabel="relevance, mean of a bin", ylabel="share of right photos", title="Calibration")
    right.set(
        xlabel="min_relevance", ylabel="queries with a result", title="What a threshold leaves"
    )
    right.set_xscale("symlog", linthresh=0.02)
    right.set_xticks([0, 0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0", ".02", ".05", ".1", ".2", ".5", "1"])
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def calibration(judged: Judged) -> list[tuple[int, float, float]]:
    """Return, for each bin of relevance: number of photos, mean relevance, share of right ones."""
    relevance = judged.relevance().ravel()
    rows = []
    for low, high in pairwise(BINS):
        inside = (relevance >= low) & (relevance < high)
        if inside.sum() >= 20:
            share = float(judged.right.ravel()[inside].mean())
            rows.append((int(inside.sum()), float(relevance[inside].mean()), share))
    return rows


def main() -> None:
    """Print both tables, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery", help="the photos of the split, indexed")
    parser.add_argument("--root", required=True, help="folder of the product photos")
    parser.add_argument("--split", default="test")
    parser.add_argument("--foreign", type=Path, help="folder of photos of other things")
    parser.add_argument("--queries", type=int, default=250, help="of each kind")
    parser.add_argument("--output", type=Path, default=Path("runs/relevance.png"))
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    gallery = Gallery.open(arguments.gallery)
    background = gallery.background()
    dataset = FashionProducts(arguments.root, arguments.split)
    photos = sorted(arguments.foreign.iterdir()) if arguments.foreign else []
    judged = {
        kind: judge(gallery, background, *given)
        for kind, given in known_queries(dataset, arguments.queries).items()
    }
    for kind, queries in foreign_queries(photos).items():
        judged[kind] = judge(gallery, background, queries)
    if arguments.fit:
        even = {kind: one.rows(slice(0, None, 2)) for kind, one in judged.items()}
        print("steepness {:.2f}, offset {:.2f}".format(*fit(even)))
        judged = {kind: one.rows(slice(1, None, 2)) for kind, one in judged.items()}
    print("share of queries with a result at min_relevance ...")
    print("kind                 queries  " + "  ".join(f"{limit:5}" for limit in THRESHOLDS))
    for kind, one in judged.items():
        best = one.relevance()[:, 0]
        shares = "  ".join(f"{(best >= limit).mean():5.2f}" for limit in THRESHOLDS)
        print(f"{kind:20} {len(best):7}  {shares}")
    print("photos  relevance  right     (of the queries with answers)")
    known = [one for one in judged.values() if one.right.any()]
    pooled = Judged(
        np.concatenate([one.distance for one in known]),
        np.concatenate([one.right for one in known]),
    )
    for count, mean, share in calibration(pooled):
        print(f"{count:6}  {mean:9.3f}  {share:5.3f}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    draw(judged, arguments.output)
    print(f"plot: {arguments.output}")


if __name__ == "__main__":
    main()
