"""Several datasets as one, to train one model on all of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import expand_user
from tmcir.core.progress import Progress
from tmcir.data.dataset import Dataset, Judgement, Task, Triplet
from tmcir.data.datasets import is_there, open_dataset

BLOCK = 64
KEYS = ("name", "root", "options", "rate", "optional")


class Mixed(Dataset):
    """The same split of several datasets. Names begin with their part, as in ``rendered:a``.

    A training epoch consists of blocks of one part each: in a batch of two parts, style alone
    separates the images of one part from those of the other, so that they are useless as negatives.
    Each epoch takes ``rate`` times a part's size from it, in whole blocks, and continues where the
    epoch before stopped; a part that is used up starts its own next epoch. All epochs have the same
    length.

    Args:
        root: Folder to which the roots of parts are relative.
        split: The split of every part.
        parts: A mapping a part: ``name`` and ``root``, as for ``open_dataset``; further
            ``options`` of that dataset; its ``rate``, epochs of the part in an epoch of the mixture
            (default: 1); and whether it is ``optional``: skipped, with a note, where its folder
            does not exist (default: no).
        block: Triplets in a block; a multiple of the batch size keeps batches within one part.
        seed: Seed of the order of blocks.

    Raises:
        TMCIRError: There are no parts, one cannot be opened, or an option is malformed.
    """

    name = "mixed"
    protocols = ("mixed",)

    def __init__(
        self,
        root: str | Path,
        split: str = "val",
        parts: Sequence[Mapping[str, Any]] = (),
        block: int = BLOCK,
        seed: int = 0,
    ) -> None:
        for option, value, minimum in (("block", block, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < minimum:
                raise TMCIRError(f"mixed: {option} must be a whole number from {minimum}")
        self.root = Path(root)
        self.split = split
        self.block = block
        self.seed = seed
        self._parts, self._skipped = _open_parts(self.root, split, parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for readers: the skipped parts, and the notes of the others."""
        own = [f"{part.label}: {note}" for part in self._parts for note in part.dataset.notes]
        return (*self._skipped, *own)

    @cached_property
    def triplets(self) -> Sequence[Triplet]:  # type: ignore[override]
        """All triplets of all parts, one part after the other; rates do not count here."""
        return [part.outside(own) for part in self._parts for own in part.dataset.triplets]

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Return the blocks of an epoch, in an order that both seeds and the epoch fix."""
        blocks = [
            [part.outside(own) for own in block]
            for part in self._parts
            for block in part.blocks(epoch, self.block, seed)
        ]
        random.Random(f"mixed {self.seed} {seed} {epoch}").shuffle(blocks)
        return [triplet for block in blocks for triplet in block]

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the tasks of every part, each over its own gallery, by its first protocol."""
        self.check_protocol(protocol)
        return [task for part in self._parts for task in part.tasks()]

    def find_image(self, name: str) -> Path | None:
        """Return the path of an image of a part."""
        part = self._part_of(name)
        return None if part is None else part.dataset.find_image(part.inside(name))

    def has_image(self, name: str) -> bool:
        """Return whether a part has that image."""
        part = self._part_of(name)
        return part is not None and part.dataset.has_image(part.inside(name))

    def prepare(self, progress: Progress | None = None) -> None:
        """Prepare the images of every part."""
        for part in self._parts:
            part.dataset.prepare(progress)

    def image_names(self) -> list[str]:
        """Return every image that the parts name, sorted, each once."""
        return sorted(p.prefixed(own) for p in self._parts for own in p.dataset.image_names())

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return the captions of every part that has some."""
        return [(p.prefixed(own), t) for p in self._parts for own, t in p.dataset.captions()]

    def can_judge(self, name: str) -> bool:
        """Return whether the image's own part can judge it."""
        part = self._part_of(name)
        return part is not None and part.dataset.can_judge(part.inside(name))

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Judge an image by its own part.

        Raises:
            TMCIRError: No part has the image, or its part cannot judge it.
        """
        part = self._part_of(name)
        if part is None:
            return super().judge(triplet, name)
        return part.dataset.judge(_rename(triplet, part.inside), part.inside(name))

    def cluster_of(self, triplet: Triplet) -> str:
        """Return the cluster that the query's own part gives it."""
        part = self._part_of(triplet.reference)
        if part is None:
            return super().cluster_of(triplet)
        return part.prefixed(part.dataset.cluster_of(_rename(triplet, part.inside)))

    @property
    def check_command(self) -> str:
        """The commands that list the missing and broken images of the parts."""
        return "` and `".join(part.dataset.check_command for part in self._parts)

    def _part_of(self, name: str) -> _Part | None:
        label = name.partition(":")[0]
        return next((part for part in self._parts if part.label == label), None)


@dataclass(frozen=True)
class _Part:
    """A dataset of the mixture.

    Attributes:
        label: Prefix of its names, unique among the parts.
        dataset: The dataset.
        rate: Its epochs in an epoch of the mixture, above 0.
    """

    label: str
    dataset: Dataset
    rate: float

    def prefixed(self, name: str) -> str:
        """Return a name of the dataset as the mixture has it."""
        return f"{self.label}:{name}"

    def inside(self, name: str) -> str:
        """Return a name of the mixture as the dataset has it."""
        return name.removeprefix(f"{self.label}:")

    def outside(self, triplet: Triplet) -> Triplet:
        """Return a triplet of the dataset with the names of the mixture."""
        return _rename(triplet, self.prefixed)

    def tasks(self) -> list[Task]:
        """Return the tasks of the dataset with the names of the mixture."""
        tasks = self.dataset.tasks()
        return [
            Task(
                name=self.label if len(tasks) == 1 else f"{self.label} {task.name}",
                triplets=[self.outside(triplet) for triplet in task.triplets],
                gallery=[self.prefixed(name) for name in task.gallery],
                remove_reference=task.remove_reference,
            )
            for task in tasks
        ]

    def blocks(self, epoch: int, size: int, seed: int = 0) -> list[list[Triplet]]:
        """Return the blocks of an epoch, each of ``size`` triplets; as many in every epoch."""
        if not self._length:
            return []
        count = max(1, round(self.rate * self._length / size)) * size
        passes, place = divmod(epoch * count, self._length)
        taken: list[Triplet] = []
        while len(taken) < count:
            taken += self._pass(passes, seed)[place : place + count - len(taken)]
            passes, place = passes + 1, 0
        return [taken[start : start + size] for start in range(0, count, size)]

    def _pass(self, number: int, seed: int) -> Sequence[Triplet]:
        """Return an epoch of the dataset; the last one is kept, of which epochs may take a part."""
        if self._last.get("pass") != (number, seed):
            triplets = self.dataset.training_triplets(number, seed)
            self._last.update({"pass": (number, seed), "triplets": triplets})
        kept: Sequence[Triplet] = self._last["triplets"]
        return kept

    @cached_property
    def _last(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _length(self) -> int:
        return len(self.dataset.training_triplets(0))


def _rename(triplet: Triplet, rename: Callable[[str], str]) -> Triplet:
    return replace(
        triplet,
        id=rename(triplet.id),
        reference=rename(triplet.reference),
        target=None if triplet.target is None else rename(triplet.target),
        answers=tuple(map(rename, triplet.answers)),
        subset=tuple(map(rename, triplet.subset)),
    )


def _open_parts(root: Path, split: str, parts: Any) -> tuple[list[_Part], list[str]]:
    """Open the parts, and say which are skipped."""
    if not isinstance(parts, list | tuple) or not parts:
        raise TMCIRError("mixed: the option parts must be a list such as [{name: N, root: DIR}]")
    opened: list[_Part] = []
    skipped: list[str] = []
    seen: Counter[str] = Counter()
    for number, part in enumerate(parts, start=1):
        _check_part(number, part)
        name, folder = part["name"], root / expand_user(part["root"])
        plain = name.partition("/")[0]
        seen[plain] += 1
        if part.get("optional", False) and not is_there(name, folder):
            skipped.append(f"{name} is skipped: {folder}: no such folder")
            continue
        dataset = open_dataset(name, folder, split, **part.get("options", {}))
        label = plain if seen[plain] == 1 else f"{plain}-{seen[plain]}"
        opened.append(_Part(label, dataset, part.get("rate", 1.0)))
    if not opened:
        raise TMCIRError("mixed: none of its parts exists: " + "; ".join(skipped))
    return opened, skipped


def _check_part(number: int, part: Any) -> None:
    where = f"mixed, part {number}"
    if not isinstance(part, Mapping):
        raise TMCIRError(f"{where}: must have a name and a root")
    for key in part:
        if key not in KEYS:
            raise unknown_choice(f"setting of {where}", str(key), KEYS)
    for key in ("name", "root"):
        if not isinstance(part.get(key), str):
            raise TMCIRError(f"{where}: {key!r} is missing or is not a text")
    rate = part.get("rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1000:
        raise TMCIRError(f"{where}: rate is {rate!r}, but must be a number above 0, at most 1000")
    if not isinstance(part.get("optional", False), bool):
        raise TMCIRError(f"{where}: optional must be true or false")
    options = part.get("options", {})
    if not isinstance(options, Mapping) or {"root", "split"} & {*options}:
        raise TMCIRError(
            f"{where}: options must be settings of the dataset, without root and split"
        )
