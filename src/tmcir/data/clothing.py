"""Phone photos of clothes as references that ask for a product in a colour.

Layout: ``images.csv`` (image, sender, label, kids) and ``images/{image}``, that of
github.com/alexeygrigorev/clothing-dataset (CC0). Its photos have a kind but no colour, so that the
answers come from the product photos: "in red" asks for the red products of that kind.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.tables import read_table
from tmcir.data.dataset import Dataset, Task, Triplet
from tmcir.data.fashion_products import SPLITS as PRODUCT_SPLITS
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.product_phrases import PARAPHRASES

SPLITS = ("train", "val")
#: The article types of products that each label stands for; other labels ask nothing.
TYPES = {
    "T-Shirt": ("Tshirts",),
    "Polo": ("Tshirts",),
    "Longsleeve": ("Tshirts", "Sweatshirts", "Sweaters"),
    "Hoodie": ("Sweatshirts",),
    "Shirt": ("Shirts",),
    "Top": ("Tops",),
    "Blouse": ("Tops",),
    "Dress": ("Dresses",),
    "Pants": ("Trousers", "Jeans", "Track Pants"),
    "Shorts": ("Shorts",),
    "Outwear": ("Jackets",),
    "Shoes": ("Casual Shoes", "Sports Shoes", "Formal Shoes"),
    "Hat": ("Caps",),
}
_COLUMNS = ("image", "sender", "label")
_TEXTS = tuple(text for text in PARAPHRASES["colour"] if "{old}" not in text)
_PRODUCT = "product "


class Clothing(Dataset):
    """Phone photos as references, product photos as answers.

    Args:
        root: Folder with ``images.csv`` and ``images/``.
        split: ``val`` has the senders whose number leaves 1 when divided by 5, ``train`` the rest.
        products: Folder of the product photos, see ``FashionProducts``; relative to ``root``.
        products_split: Split of the products that answer; None: as ``split``.
        queries: Number of queries of ``val``.
        seed: Fixes the queries.

    Raises:
        TMCIRError: An option is unknown, or a file is missing or lacks a column.
    """

    name = "clothing"
    protocols = ("same-kind",)

    def __init__(
        self,
        root: str | Path,
        split: str = "val",
        products: str = "../fashion-products",
        products_split: str | None = None,
        queries: int = 1000,
        seed: int = 0,
    ) -> None:
        if split not in SPLITS:
            raise unknown_choice("clothing split", split, SPLITS)
        if products_split is not None and products_split not in PRODUCT_SPLITS:
            raise unknown_choice("clothing products_split", products_split, PRODUCT_SPLITS)
        self.root, self.split, self.seed, self.queries = Path(root), split, seed, queries
        self.products = FashionProducts(self.root / products, products_split or split)
        self._labels = _read_labels(self.root / "images.csv", split)
        self._kinds: dict[str, dict[str, list[str]]] = {}
        for label, types in TYPES.items():
            colours: dict[str, list[str]] = defaultdict(list)
            for item in self.products.items:
                if item.caption is not None and item.caption.type in types:
                    colours[item.caption.colour].append(_PRODUCT + item.id)
            if colours:
                self._kinds[label] = dict(colours)
        self._references = [name for name, label in self._labels.items() if label in self._kinds]

    @cached_property
    def triplets(self) -> Sequence[Triplet]:  # type: ignore[override]
        """The queries of ``val``; ``train`` gives those of its first epoch."""
        if self.split == "train":
            return self.training_triplets(0)
        generator = random.Random(f"clothing {self.seed}")
        found: dict[str, Triplet] = {}
        for _ in range(50 * self.queries):  # bounded: a few photos have few different queries
            if len(found) == self.queries or not self._references:
                break
            triplet = self._triplet(generator.choice(self._references), generator)
            found.setdefault(triplet.id, triplet)
        return list(found.values())

    def training_triplets(self, epoch: int, seed: int = 0) -> Sequence[Triplet]:
        """Ask one colour of every photo, in random order."""
        generator = random.Random(f"clothing {self.seed} {seed} {epoch}")
        order = generator.sample(self._references, len(self._references))
        return [self._triplet(name, generator) for name in order]

    def tasks(self, protocol: str | None = None) -> list[Task]:
        """Return a task for each label: its queries over the products of that kind."""
        self.check_protocol(protocol)
        by_label: dict[str, list[Triplet]] = defaultdict(list)
        for triplet in self.triplets:
            by_label[triplet.kind].append(triplet)
        return [
            Task(label, asked, self._gallery(label), remove_reference=False)
            for label, asked in sorted(by_label.items())
        ]

    def find_image(self, name: str) -> Path | None:
        """Return the path of a phone photo, or of a product photo."""
        if name.startswith(_PRODUCT):
            return self.products.find_image(name.removeprefix(_PRODUCT))
        path = self.root / "images" / name
        return path if name in self._labels and path.is_file() else None

    def captions(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Return each phone photo with its kind, and each product photo with its captions."""
        own = [
            (name, (label.lower(), f"a photo of a {label.lower()}"))
            for name, label in self._labels.items()
            if label in TYPES
        ]
        return [*own, *((_PRODUCT + name, texts) for name, texts in self.products.captions())]

    def _gallery(self, label: str) -> list[str]:
        names = {name for group in self._kinds[label].values() for name in group}
        return [_PRODUCT + item.id for item in self.products.items if _PRODUCT + item.id in names]

    def _triplet(self, name: str, generator: random.Random) -> Triplet:
        label = self._labels[name]
        colour = generator.choice(sorted(self._kinds[label]))
        answers = self._kinds[label][colour]
        texts = tuple(text.format(new=colour.lower()) for text in _TEXTS)
        return Triplet(
            id=f"{name} {colour}",
            reference=name,
            text=f"in {colour.lower()}",
            target=generator.choice(answers),
            answers=tuple(answers),
            kind=label,
            training_texts=texts,
        )


def _read_labels(path: Path, split: str) -> dict[str, str]:
    if not path.is_file():
        raise TMCIRError(f"{path}: no such file; it lists image, sender and label of every photo")
    table = read_table(path)
    for name in _COLUMNS:
        if name not in table.header:
            raise TMCIRError(f"{path}: lacks the column {name!r}")
    image, sender, label = (table.header.index(name) for name in _COLUMNS)
    return {
        row.cells[image]: row.cells[label]
        for row in table.rows
        if _is_val(row.cells[sender]) == (split == "val")
    }


def _is_val(sender: str) -> bool:
    return sender.isdecimal() and int(sender) % 5 == 1
