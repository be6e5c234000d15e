"""A dataset without some of its images, such as broken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tmcir.data.dataset import Dataset, Judgement, Task, Triplet


class Skipping(Dataset):
    """A split without some images: galleries lack them, and queries that need one are skipped.

    Args:
        dataset: The split.
        skip: Names of the images.
    """

    def __init__(self, dataset: Dataset, skip: Iterable[str]) -> None:
        self.name = dataset.name
        self.root = dataset.root
        self.split = dataset.split
        self.protocols = dataset.protocols
        self._dataset = dataset
        self._skip = frozenset(skip)
        self.triplets = self._without(dataset.triplets)

    @property
    def notes(self) -> tuple[str, ...]:
        """The dataset's notes, and how many images are skipped."""
        return (*self._dataset.notes, f"{len(self._skip)} images are skipped")

    @property
    def check_command(self) -> str:
        """The dataset's own command."""
        return self._dataset.check_command

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the dataset's tasks without the images."""
        return [
            replace(
                task,
                triplets=self._without(task.triplets),
                gallery=[name for name in task.gallery if name not in self._skip],
            )
            for task in self._dataset.tasks(protocol)
        ]

    def find_image(self, name: str) -> Path | None:
        """Return the path of an image that is not skipped."""
        return None if name in self._skip else self._dataset.find_image(name)

    def has_image(self, name: str) -> bool:
        """Return whether the dataset has an image, and it is not skipped."""
        return name not in self._skip and self._dataset.has_image(name)

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Prepare the images of the dataset."""
        self._dataset.prepare(progress)

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Return the epoch's triplets that need no skipped image."""
        return self._without(self._dataset.training_triplets(epoch, seed))

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return the captions of images that are not skipped."""
        return [pair for pair in self._dataset.captions() if pair[0] not in self._skip]

    def can_judge(self, name: str) -> bool:
        """Return whether the dataset can judge an image."""
        return self._dataset.can_judge(name)

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Let the dataset judge an image."""
        return self._dataset.judge(triplet, name)

    def _without(self, triplets: Sequence[Triplet]) -> list[Triplet]:
        return [
            replace(
                triplet,
                answers=tuple(name for name in triplet.answers if name not in self._skip),
                subset=tuple(name for name in triplet.subset if name not in self._skip),
            )
            for triplet in triplets
            if self._skip.isdisjoint((triplet.reference, triplet.target))
        ]
