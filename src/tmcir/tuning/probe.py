"""Which columns photos show: a linear probe predicts each from the features of frozen towers.

Letters used in shapes: N photos, W width of the features, V values, F folds.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tmcir.core.hashing import stable_number
from tmcir.data.catalogue import Column, Item

FOLDS = 5
#: Minimum share of the photos whose most frequent value is wrong that the probe must get right.
MINIMUM_SKILL = 0.25
#: Minimum share of pairs that are alike in all other columns that the probe must tell apart.
MINIMUM_TOLD_APART = 0.7
_PAIRS = 20  # of one group of photos that are alike
_MINIMUM_PAIRS = 30
_RIDGES = (0.003, 0.03, 0.3)
_COMPONENTS = 256


@dataclass(frozen=True, slots=True)
class Reading:
    """How well a column can be read off photos that the probe was not fitted on.

    Attributes:
        column: The column.
        accuracy: Share of the photos whose value the probe says.
        majority: Share of the photos that have the most frequent value.
        photos: Number of photos.
        told_apart: Share of pairs of photos, alike in all other columns, in which the probe gives
            the two values to the right photos; random scores give 0.5. None without pairs.
        pairs: Number of such pairs.
    """

    column: str
    accuracy: float
    majority: float
    photos: int
    told_apart: float | None = None
    pairs: int = 0

    @property
    def readable(self) -> bool:
        """Whether photos show the column.

        The probe must mend a fair share of what the most frequent value gets wrong, and where there
        are enough pairs it must tell them apart: a season follows from the kind of garment, so that
        a probe seems to read it, but of two red shirts no photo says which is of the winter.
        """
        if self.told_apart is not None and self.pairs >= _MINIMUM_PAIRS:
            return self.told_apart >= MINIMUM_TOLD_APART and self.accuracy > self.majority
        deviation = math.sqrt(self.accuracy * (1 - self.accuracy) / max(1, self.photos))
        return self.skill >= MINIMUM_SKILL and self.accuracy - self.majority > deviation

    @property
    def figure(self) -> str:
        """The figures in a few words."""
        text = f"right {100 * self.accuracy:.0f}%, most frequent value {100 * self.majority:.0f}%"
        if self.told_apart is None or self.pairs < _MINIMUM_PAIRS:
            return text
        return f"{text}, look-alikes distinguished {100 * self.told_apart:.0f}%"

    @property
    def skill(self) -> float:
        """Share of what always saying the most frequent value gets wrong that the probe mends."""
        return (self.accuracy - self.majority) / max(1e-9, 1 - self.majority)


def read_columns(
    columns: Sequence[Column], items: Sequence[Item], features: Tensor
) -> list[Reading]:
    """Probe every taken column by ridge regression on one-hot values, in five folds.

    A cell with several values counts as its first one. Photos of one product are in one fold.

    Args:
        columns: The taken columns, in the order of ``Item.values``.
        items: N photos, none of them of the test split.
        features: float [N, W], of the towers.
    """
    folds = torch.tensor([stable_number(f"fold {item.product}") % FOLDS for item in items])
    ridge = _Ridge(_components(features), folds)
    found = []
    for place, column in enumerate(columns):
        values = [item.values[place][0] if item.values[place] else "" for item in items]
        counts = Counter(value for value in values if value)
        names = {value: number for number, value in enumerate(sorted(counts))}
        labels = torch.tensor([names.get(value, -1) for value in values])
        known = labels >= 0
        scores = ridge.scores(labels, len(names))
        right = int(((scores.argmax(dim=1) == labels) & known).sum())
        filled = max(1, int(known.sum()))
        apart, pairs = _tell_apart(items, place, labels, scores)
        majority = max(counts.values(), default=0) / filled
        found.append(Reading(column.name, right / filled, majority, filled, apart, pairs))
    return found


def _tell_apart(
    items: Sequence[Item], place: int, labels: Tensor, scores: Tensor
) -> tuple[float | None, int]:
    """Compare photos that are alike in all other columns and differ in this one.

    Returns:
        How often the scores give the two values to the right photos, and the number of pairs.
    """
    groups: dict[tuple[tuple[str, ...], ...], list[int]] = defaultdict(list)
    for row, item in enumerate(items):
        if labels[row] >= 0:
            groups[item.values[:place] + item.values[place + 1 :]].append(row)
    generator = random.Random(0)
    pairs = [
        generator.sample(rows, 2)
        for rows in groups.values()
        if len(rows) > 1
        for _ in range(min(_PAIRS, len(rows)))
    ]
    if not pairs:
        return None, 0
    one, other = torch.tensor(pairs).unbind(dim=1)
    differ = labels[one] != labels[other]
    one, other = one[differ], other[differ]
    own, foreign = labels[one], labels[other]
    margin = scores[one, own] - scores[one, foreign] - scores[other, own] + scores[other, foreign]
    count = len(one)
    return (float((margin > 0).double().mean()) if count else None), count


class _Ridge:
    """Ridge regressions on the same features for many columns, each in five folds."""

    def __init__(self, features: Tensor, folds: Tensor) -> None:
        self._features = features
        self._folds = folds

    def scores(self, labels: Tensor, count: int) -> Tensor:
        """Return held-out scores of the values, float64 [N, V], by the ridge that is right most.

        Args:
            labels: long [N], -1 where a cell is empty: such photos are scored, too.
            count: V.
        """
        known = labels >= 0
        found = torch.zeros(len(_RIDGES), len(labels), count, dtype=torch.float64)
        for fold in range(FOLDS):
            train, test = known & (self._folds != fold), self._folds == fold
            if bool(train.any()) and bool(test.any()):
                found[:, test] = self._fitted(train, test, labels, count)
        right = (found.argmax(dim=2) == labels) & known
        return found[right.sum(dim=1).argmax()]

    def _fitted(self, train: Tensor, test: Tensor, labels: Tensor, count: int) -> Tensor:
        """Return the scores of a fold for every ridge, float64 [R, N of test, V]."""
        given, asked = self._features[train], self._features[test]
        truth = functional.one_hot(labels[train], count).double()
        mean = truth.mean(dim=0)
        values, vectors = torch.linalg.eigh(given.T @ given)
        turned, projected = asked @ vectors, vectors.T @ (given.T @ (truth - mean))
        values = values.clamp(min=0)
        scale = values.sum() / min(len(values), len(given))
        return torch.stack(
            [turned @ (projected / (values + ridge * scale)[:, None]) + mean for ridge in _RIDGES]
        )


def _components(features: Tensor) -> Tensor:
    """Return the first principal components of standardised features, float64 [N, <= 256]."""
    deviation = features.std(dim=0).clamp(min=1e-6)
    standard = (features - features.mean(dim=0)) / deviation
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        size = min(_COMPONENTS, *standard.shape)
        left, values, _ = torch.svd_lowrank(standard, q=size, niter=2)
    return (left * values).double()
