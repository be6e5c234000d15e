"""The interface of a dataset: triplets, retrieval tasks, and where the images are."""

from __future__ import annotations

import random
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tmcir.core.errors import ImageError, TMCIRError, unknown_choice
from tmcir.core.progress import Progress

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Triplet:
    """One composed query and what is known of its answer.

    Attributes:
        id: Unique within its dataset and split.
        reference: Name of the reference image.
        text: The modification text as evaluation uses it.
        target: Name of the target image; None where a test server hides the labels.
        answers: Every right answer. Empty means that ``target`` is the only one.
        subset: The other members of a CIRR image set, without the reference.
        kind: What kind of query this is (a changed attribute, a category); reports group by it.
        training_texts: Texts that training samples from uniformly. Empty means ``text``.
    """

    id: str
    reference: str
    text: str
    target: str | None = None
    answers: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()
    kind: str = ""
    training_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One ranking problem: these queries over this gallery.

    Attributes:
        name: Part of the dataset (a Fashion-IQ category), or the dataset's own name.
        triplets: The queries.
        gallery: Image names. Their order breaks ties between equal scores.
        remove_reference: Whether a query's reference leaves the ranking before metrics are taken.
    """

    name: str
    triplets: Sequence[Triplet]
    gallery: Sequence[str]
    remove_reference: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well one result answers a query, by what is known of the images.

    Attributes:
        changed: Share of what the text asks for that the result shows, in [0, 1].
        kept: Share of the other attributes in which the result is like the reference, in [0, 1].
    """

    changed: float
    kept: float


class Dataset(ABC):
    """A split of a composed-retrieval dataset.

    Attributes:
        name: The dataset's name on the command line, such as ``fashion-iq``.
        root: Folder that holds annotations and images.
        split: ``train``, ``val``, ``test`` or as the authors call it (``test1``).
        triplets: All queries of the split, in the authors' order.
        protocols: Names of the evaluation protocols; the first is the default.
    """

    name: str
    root: Path
    split: str
    triplets: Sequence[Triplet]
    protocols: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for readers of counts and reports, such as missing images."""
        return ()

    @abstractmethod
    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return the ranking problems of a protocol (default: the first).

        Raises:
            TMCIRError: The protocol is unknown.
        """

    @abstractmethod
    def find_image(self, name: str) -> Path | None:
        """Return the path of an image, or None where no file has that name."""

    def has_image(self, name: str) -> bool:
        """Return whether ``find_image`` would find it, without drawing anything."""
        return self.find_image(name) is not None

    def prepare(  # noqa: B027 - what lies in files is ready
        self, progress: Progress | None = None
    ) -> None:
        """Make all images that are made on demand, in parallel.

        Call it before reading all images one by one; a dataset of files does nothing.

        Args:
            progress: Called with images made so far, and to make.

        Raises:
            TMCIRError: An image cannot be written.
        """

    def image_path(self, name: str) -> Path:
        """Return the path of an image.

        Raises:
            ImageError: There is no such file.
        """
        path = self.find_image(name)
        if path is None:
            raise ImageError(
                f"no image {name!r} under {self.root}: `{self.check_command}` lists all"
            )
        return path

    @property
    def check_command(self) -> str:
        """The command that lists all missing and broken images, for errors to name."""
        root = shlex.quote(str(self.root))
        options = "".join(
            f" --{name} {shlex.quote(value)}" for name, value in self.command_options.items()
        )
        return f"tmcir data check {self.name} --root {root} --split {self.split}{options}"

    @property
    def command_options(self) -> dict[str, str]:
        """Options, other than root and split, by which a command opens this dataset."""
        return {}

    @property
    def image_folders(self) -> Sequence[Path]:
        """Folders in which images are looked for."""
        return [self.root]

    def image_names(self) -> list[str]:
        """Return every image that queries and galleries name, sorted, each once."""
        names = {name for task in self.tasks() for name in task.gallery}
        for triplet in self.triplets:
            names.add(triplet.reference)
            names.update(triplet.answers, triplet.subset)
            if triplet.target is not None:
                names.add(triplet.target)
        return sorted(names)

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Return the triplets of a training epoch, in random order.

        Annotation lists similar queries together, and batches of neighbours would have the same
        negatives in every epoch.

        Args:
            epoch: Counted from 0. The same epoch and seed always give the same triplets.
            seed: Of the training: another seed gives another order, and other pairs where the
                dataset samples them.
        """
        generator = random.Random(f"{self.name} {seed} {epoch}")
        return generator.sample(self.triplets, len(self.triplets))

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return (image name, texts that describe it) pairs for the alignment stage."""
        return []

    def can_judge(self, name: str) -> bool:
        """Return whether ``judge`` can judge this image; by default it can judge none."""
        return False

    def judge(self, triplet: Triplet, name: str) -> Judgement:
        """Judge how well an image answers a query.

        Args:
            triplet: A query of this split.
            name: An image for which ``can_judge`` is true.

        Raises:
            TMCIRError: The attributes of the image or of the query are not known.
        """
        raise TMCIRError(f"{self.name}: the attributes of image {name!r} are not known")

    def cluster_of(self, triplet: Triplet) -> str:
        """Return the cluster of a query: queries with one target succeed or fail together."""
        return triplet.target or triplet.id

    def check_protocol(self, protocol: str | None) -> str:
        """Return the protocol's name, the default for None.

        Raises:
            TMCIRError: The protocol is unknown.
        """
        if protocol is None:
            return self.protocols[0]
        if protocol not in self.protocols:
            raise unknown_choice(f"{self.name} protocol", protocol, self.protocols)
        return protocol


def missing_images(dataset: Dataset, missing: Sequence[str], total: int) -> ImageError:
    """Build the error for images of a dataset that have no file.

    Args:
        dataset: The dataset.
        missing: Names of the missing images, at least one; the first few are named.
        total: The number of images that were looked for.
    """
    listed = ", ".join(missing[:_MAX_NAMED]) + (", ..." * (len(missing) > _MAX_NAMED))
    if len(missing) == total:
        return ImageError(
            f"none of the {total:,} images is under {dataset.root}: {listed}; docs/data.md says"
            " where they belong"
        )
    return ImageError(
        f"{len(missing):,} of {total:,} images are missing under {dataset.root}: {listed};"
        f" `{dataset.check_command}` lists them"
    )
