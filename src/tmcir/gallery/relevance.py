"""How far a hit stands out of its gallery, as a number that people can read.

A cosine means little by itself: what is near and what is far differs by query and by gallery. The
relevance of a photo v for a query q is

    r(q, v) = 1 / (1 + exp(-(STEEPNESS * (q.v - q.m) / s - OFFSET)))

where m is the mean of the gallery's vectors, so that q.m is the score of a photo that has nothing
to do with the query, and s is the spread of the gallery: the root mean square, over its photos p,
of the standard deviation of p.v over all v. Both come from a sample of at most `SAMPLE` photos,
always the same ones. STEEPNESS and OFFSET were fitted once, with the shipped model on queries whose
answers are known and queries without answers (`measurements/relevance.py --fit`): about half of the
photos with relevance 0.5 are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tmcir.core.errors import TMCIRError
from tmcir.gallery.stores.base import Store

#: Maximum number of photos for the mean and the spread of a gallery.
SAMPLE = 2_000
#: Relevance below which results are called weak.
WEAK = 0.05
STEEPNESS, OFFSET = 2.7, 10.4
_MINIMUM_SPREAD = 1e-6  # of photos that are all the same


@dataclass(frozen=True, slots=True)
class Background:
    """Mean and spread of a gallery, which relevance is relative to.

    Attributes:
        mean: float64 [D], m.
        spread: s, more than 0.
        photos: Photos that the gallery had.
    """

    mean: NDArray[np.float64]
    spread: float
    photos: int

    @classmethod
    def of(cls, vectors: NDArray[np.float32], photos: int) -> Background:
        """Compute the background from a sample of unit vectors [S, D]."""
        if not len(vectors):
            return cls(np.zeros(vectors.shape[1]), 1.0, photos)
        sample = vectors.astype(np.float64)
        mean = sample.mean(axis=0)  # [D]
        second = sample.T @ sample / len(sample)  # [D, D]
        variance = float((second * (second - np.outer(mean, mean))).sum())
        return cls(mean, max(math.sqrt(max(variance, 0.0)), _MINIMUM_SPREAD), photos)

    def relevance(
        self, vector: NDArray[np.float32], scores: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the relevance [K], in [0, 1], of photos with these scores [K] for a query [D]."""
        distance = (scores - vector.astype(np.float64) @ self.mean) / self.spread  # [K]
        # bounded, so that exp cannot overflow
        logits = np.clip(STEEPNESS * distance - OFFSET, -700, 700)
        return np.asarray(1 / (1 + np.exp(-logits)))

    def minimum_score(self, vector: NDArray[np.float32], relevance: float) -> float:
        """Return the score that a photo of this relevance has."""
        if not 0 < relevance < 1:
            return -math.inf if relevance <= 0 else math.inf
        logit = math.log(relevance / (1 - relevance))
        own = float(vector.astype(np.float64) @ self.mean)
        return own + self.spread * (logit + OFFSET) / STEEPNESS


def check_relevance(minimum: float) -> None:
    """Check a minimum relevance.

    Raises:
        TMCIRError: It is not in [0, 1].
    """
    if not 0 <= minimum <= 1:
        raise TMCIRError(f"min_relevance must lie between 0 and 1, not {minimum}")


def measure_background(store: Store, known: Background | None) -> Background:
    """Return the background of a gallery: ``known``, unless photos were added or removed since."""
    photos = len(store)
    if known is not None and known.photos == photos:
        return known
    return Background.of(store.sample(SAMPLE), photos)
