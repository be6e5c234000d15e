"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")]

RecipeName = Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings to change, as dotted.key=value.")
]

ModelName = Annotated[str, typer.Argument(help="Model directory, name, or Hugging Face id.")]
Method = Annotated[
    str, typer.Option(help="How to compose: model (the model's own way), image, text or sum.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images encoded at once.")]

DatasetRoot = Annotated[Path, typer.Option(help="Folder of the dataset.")]
Split = Annotated[
    str | None, typer.Option(help="The split; without it the dataset's usual one for measuring.")
]
Categories = Annotated[
    str | None, typer.Option(help="Fashion-IQ only: categories, such as dress,shirt.")
]

DatasetOptions = Annotated[
    list[str] | None,
    typer.Option("--option", help="Option of the dataset, such as metadata=garments.csv."),
]

GalleryAddress = Annotated[
    str,
    typer.Argument(
        help="Folder of the gallery, an object store (s3://bucket/shop), or a collection"
        " (milvus://host:port/collection)."
    ),
]
GalleryModel = Annotated[
    str | None, typer.Option("--model", help="The gallery's model, where it has moved.")
]
RuntimeName = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="What runs the model: onnx (its exported graphs), torch, or auto: graphs where they"
        " fit the weights.",
    ),
]
ExactUpTo = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Photos up to which searches are exact; beyond, an index is built. Default 200,000.",
    ),
]


def split_names(given: str) -> list[str]:
    """Return the column names of ``title,brand``."""
    return [name for name in (part.strip() for part in given.split(",")) if name]
