"""`tmcir index`, `tmcir gallery ...`, and opening a gallery for other commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tmcir.cli.options import ExactUpTo, GalleryAddress, GalleryModel, Json, RuntimeName
from tmcir.cli.output import print_json
from tmcir.cli.progress import progress_bar
from tmcir.cli.quick import import_lancedb_quickly
from tmcir.core.errors import TMCIRError

if TYPE_CHECKING:
    from tmcir.gallery import AddReport, Gallery
    from tmcir.gallery.stores.base import Precision


def index(
    gallery: GalleryAddress,
    photos: Annotated[Path, typer.Argument(help="Folder of photos, searched recursively.")],
    metadata: Annotated[
        Path | None, typer.Option(help="CSV with a row per photo, to filter by and to show.")
    ] = None,
    metadata_key: Annotated[
        str | None, typer.Option(help="Its column that names the photos; found if not given.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model directory, name or id; a gallery remembers its model."),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove photos that are not in the folder any more.")
    ] = False,
    title_column: Annotated[
        str | None, typer.Option(help="Column with the products' titles; guessed if not given.")
    ] = None,
    link_column: Annotated[
        str | None, typer.Option(help="Column with the addresses of the products' pages.")
    ] = None,
    price_column: Annotated[str | None, typer.Option(help="Column with the prices.")] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Column that is the same for all photos of a product.")
    ] = None,
    float16: Annotated[
        bool, typer.Option("--float16", help="Store the vectors of a new gallery in float16.")
    ] = False,
    exact_up_to: ExactUpTo = None,
    runtime: RuntimeName = "auto",
    as_json: Json = False,
) -> None:
    """Make a gallery of photos, or bring it up to date.

    Only new or changed photos are encoded. A run that was stopped resumes.

    \b
    Example:
      tmcir index shop photos --metadata garments.csv --model mini
    """
    from tmcir.gallery import Roles

    precision: Precision = "float16" if float16 else "float32"
    opened = open_gallery(gallery, model, True, precision, exact_up_to, runtime)
    given = (title_column, link_column, price_column, group_column)
    with progress_bar("indexing photos") as progress:
        report = opened.add(
            photos,
            metadata,
            metadata_key=metadata_key,
            progress=progress,
            prune=prune,
            roles=Roles(*given) if any(given) else None,
        )
    if as_json:
        print_json({"photos": len(opened), **dataclasses.asdict(report)})
        return
    photos_in_it = "1 photo" if len(opened) == 1 else f"{len(opened):,} photos"
    _print_report(f"{gallery}: {photos_in_it}", report, prune)


def _print_report(head: str, report: AddReport, prune: bool) -> None:
    from tmcir.core.text import on_one_line

    for name, reason in report.skipped:
        typer.echo(f"skipped {on_one_line(name)}: {reason}", err=True)
    for note in report.notes:
        typer.echo(on_one_line(note), err=True)
    pruned = f" {report.removed:,} removed," if prune else ""
    encoded = report.added + report.updated
    speed = f", {report.images_per_second:.1f} images/s" if encoded else ""
    typer.echo(
        f"{head} ({report.added:,} added, {report.updated:,} updated,"
        f" {report.unchanged:,} unchanged,{pruned} {len(report.skipped):,} skipped) in"
        f" {report.seconds:.1f} s{speed}"
    )


def info(
    gallery: GalleryAddress,
    recall_queries: Annotated[
        int, typer.Option(min=0, help="Queries that the recall of an index is measured on.")
    ] = 50,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
    as_json: Json = False,
) -> None:
    """Show what a gallery holds, and the recall of its index.

    \b
    Example:
      tmcir gallery info shop
    """
    found = open_gallery(gallery, model, False, exact_up_to=exact_up_to).info(recall_queries)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        typer.echo(found)


def remove(
    gallery: GalleryAddress,
    ids: Annotated[list[str], typer.Argument(help="Ids of photos, as `tmcir search` shows them.")],
    model: GalleryModel = None,
    as_json: Json = False,
) -> None:
    """Remove photos from a gallery for good; their files stay.

    `tmcir index` skips them from now on, until `tmcir gallery restore`. Exits with code 1 if
    an id is not in the gallery.

    \b
    Example:
      tmcir gallery remove shop test-000250.jpg test-000251.jpg
    """
    from tmcir.core.text import on_one_line

    opened = open_gallery(gallery, model, create=False)
    missing = opened.missing(ids)
    removed = opened.remove(ids)
    if as_json:
        print_json({"removed": removed, "missing": missing, "photos": len(opened)})
    else:
        for name in missing:
            typer.echo(f"no photo '{on_one_line(name)}'", err=True)
        typer.echo(
            f"{gallery}: {removed:,} of {len(set(ids)):,} removed, {len(opened):,} photos left"
        )
    if missing:
        raise typer.Exit(1)


def restore(
    gallery: GalleryAddress,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of removed photos; without any, all of them.")
    ] = None,
    model: GalleryModel = None,
    as_json: Json = False,
) -> None:
    """Restore removed photos: the next `tmcir index` adds them again.

    \b
    Example:
      tmcir gallery restore shop test-000250.jpg
    """
    restored = open_gallery(gallery, model, create=False).restore(ids or None)
    if as_json:
        print_json({"restored": restored})
    else:
        typer.echo(f"{gallery}: {restored:,} restored; run `tmcir index` to index them again")


def export(
    gallery: GalleryAddress,
    path: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    model: GalleryModel = None,
    as_json: Json = False,
) -> None:
    """Write ids, paths, hashes, metadata and vectors to a Parquet file.

    \b
    Example:
      tmcir gallery export shop shop.parquet
    """
    count = open_gallery(gallery, model, create=False).export(path)
    if as_json:
        print_json({"path": path, "photos": count})
    else:
        typer.echo(f"{path}: {count:,} photos")


def open_gallery(
    uri: str,
    model: str | None,
    create: bool,
    precision: Precision = "float32",
    exact_up_to: int | None = None,
    runtime: str = "auto",
) -> Gallery:
    """Open a gallery with its model.

    Raises:
        TMCIRError: There is no gallery, or its model is not to be found.
    """
    if not uri.startswith("milvus://"):
        import_lancedb_quickly()
    from tmcir.gallery import Gallery
    from tmcir.gallery.stores.base import EXACT_UP_TO
    from tmcir.runtime.loading import checked_runtime

    if model is None or not create:  # before a model is loaded, which takes seconds
        stored = Gallery.read_model(uri)
        if stored is None and create:
            raise TMCIRError(f"{uri}: pass it with --model")
        if stored is None:
            raise TMCIRError(
                f"{uri}: there is no gallery; make one with `tmcir index {uri} PHOTOS`"
            )
    limit = EXACT_UP_TO if exact_up_to is None else exact_up_to
    return Gallery.open(
        uri, model, precision=precision, exact_up_to=limit, runtime=checked_runtime(runtime)
    )
