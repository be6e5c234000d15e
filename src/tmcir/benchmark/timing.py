"""Time of composing a query, for all methods on the same queries in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tmcir.benchmark.plan import Job
from tmcir.evaluation.embedding import OWN_METHOD, find_images
from tmcir.models import TMCIR, load
from tmcir.models.baselines import UNTRAINED_METHODS

QUERIES = 32
_WARM_UP, _REPEATS = 3, 21


@dataclass(frozen=True, slots=True)
class ComposeTime:
    """Milliseconds per query, from the features of both towers to the query embedding.

    Attributes:
        single: For one query alone, as in a search.
        batched: For one of ``QUERIES`` that are composed at once.
    """

    single: float
    batched: float


def time_composing(jobs: Sequence[Job]) -> dict[str, ComposeTime]:
    """Return the time of each cell by name, measured with its first finished seed.

    Minimum over repeats; anything above it is other load on the machine. The towers, which all
    methods share, are not included, except where a method runs one again.

    Args:
        jobs: Finished jobs of cells, all on the same dataset.

    Raises:
        TMCIRError: A model or an image is missing.
    """
    first = {str(job.cell): job for job in reversed(jobs)}
    return {name: _time(job) for name, job in reversed(first.items())}


def _time(job: Job) -> ComposeTime:
    model = load(job.model)
    dataset = job.open_dataset()
    triplets = dataset.tasks(job.protocol)[0].triplets[:QUERIES]
    pixels = model.preprocess(find_images(dataset, [triplet.reference for triplet in triplets]))
    image = model.image_features(pixels)
    text = model.text_features([triplet.text for triplet in triplets])
    compose = model.fuse if job.compose == OWN_METHOD else UNTRAINED_METHODS[job.compose]
    one = torch.zeros(1, dtype=torch.long, device=model.device)
    with torch.inference_mode():
        single_image, single_text = image.select(one), text.select(one)
        single = _min_seconds(model, lambda: compose(single_image, single_text))
        batched = _min_seconds(model, lambda: compose(image, text))
    return ComposeTime(1000 * single, 1000 * batched / len(triplets))


def _min_seconds(model: TMCIR, work: Callable[[], object]) -> float:
    """Return the minimum over repeats of the time of some work."""
    seconds = []
    for repeat in range(_WARM_UP + _REPEATS):
        began = time.perf_counter()
        work()
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        if repeat >= _WARM_UP:
            seconds.append(time.perf_counter() - began)
    return min(seconds)
