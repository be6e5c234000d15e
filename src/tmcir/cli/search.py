"""`tmcir search` and `tmcir explain`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tmcir.cli.gallery import open_gallery
from tmcir.cli.options import (
    ExactUpTo,
    GalleryAddress,
    GalleryModel,
    Json,
    ModelName,
    RuntimeName,
    split_names,
)
from tmcir.cli.output import print_json
from tmcir.core.errors import TMCIRError

if TYPE_CHECKING:
    from tmcir.gallery import Gallery, Hit, Term


Where = Annotated[str | None, typer.Option(help="SQL condition on id and metadata columns.")]
Balance = Annotated[
    float, typer.Option(help="From -1 (follow the image only) to 1 (the text only).")
]
ItemId = Annotated[
    str | None, typer.Option(help="Id of a photo of the gallery, in place of --image.")
]
MoreLike = Annotated[
    list[str] | None, typer.Option(help="Id of a photo to move towards; may be repeated.")
]
LessLike = Annotated[
    list[str] | None, typer.Option(help="Id of a photo to move away from; may be repeated.")
]
Terms = Annotated[
    list[str] | None,
    typer.Option(help="Further text with a weight, as TEXT:WEIGHT; may be repeated."),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--not", help="Text that results should not match; may be repeated."),
]

Images = Annotated[
    list[Path] | None,
    typer.Option(help="Reference image; given again, a further image with weight 1."),
]
Group = Annotated[
    str | None, typer.Option(help="Metadata column whose values are shown once each.")
]
MinRelevance = Annotated[
    float, typer.Option(help="From 0 to 1: show only photos of this relevance or more.")
]
WordColumns = Annotated[
    str | None,
    typer.Option(help="Columns whose words count, too, such as title,brand; also id."),
]
Text = Annotated[
    str | None, typer.Option(help="How it should differ; without --image, what to find.")
]


def search(
    gallery: GalleryAddress,
    image: Images = None,
    text: Text = None,
    k: Annotated[int, typer.Option("-k", help="Number of results.")] = 20,
    where: Where = None,
    balance: Balance = 0.0,
    item: ItemId = None,
    more_like: MoreLike = None,
    term: Terms = None,
    without: Without = None,
    less_like: LessLike = None,
    offset: Annotated[int, typer.Option(help="Results to skip before the first.")] = 0,
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Merge near-duplicates among the results.")
    ] = False,
    group: Group = None,
    min_relevance: MinRelevance = 0.0,
    words: WordColumns = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of thumbnails here.")] = None,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
    runtime: RuntimeName = "auto",
    as_json: Json = False,
) -> None:
    """Search a gallery with an image, a text, or both.

    \b
    Example:
      tmcir search shop --image photos/test-000247.jpg --text "in red" --where "price < 50"
    """
    from tmcir.gallery import Query, Words
    from tmcir.gallery.results import hit_fields

    opened = open_gallery(gallery, model, False, exact_up_to=exact_up_to, runtime=runtime)
    images = image or []
    terms = _terms(images[1:], term or [], without or [])
    examples = tuple(more_like or ()), tuple(less_like or ())
    query = Query(images[0] if images else None, item, text or "", balance, *examples, terms)
    query.check()
    hits = opened.find(
        opened.embed([query])[0],
        k,
        where=where,
        offset=offset,
        deduplicate=deduplicate,
        group=group,
        min_relevance=min_relevance,
        words=None if words is None else Words(query.text, split_names(words)),
    )
    _note_unread(opened.unread(query))
    if html is not None:
        from tmcir.gallery.page import write_page

        write_page(html, opened, query, hits, where)
    if as_json:
        print_json([hit_fields(hit) | {"path": hit.path} for hit in hits])
        return
    _print_hits(hits)
    _note_end(hits, k, min_relevance)
    if html is not None:
        typer.echo(f"page: {html}", err=True)
    _hint(opened)


def _hint(opened: Gallery) -> None:
    """Point at tuning, where a person reads it."""
    from tmcir.gallery.hints import tune_hint

    hint = tune_hint(opened) if sys.stderr.isatty() else ""
    if hint:
        typer.echo(hint, err=True)


def _terms(images: list[Path], given: list[str], without: list[str]) -> tuple[Term, ...]:
    """Return the terms of further ``--image``, ``--term TEXT:WEIGHT`` and ``--not TEXT``."""
    from tmcir.gallery import Term
    from tmcir.gallery.query import WITHOUT_WEIGHT

    terms = [Term(1.0, image=image) for image in images]
    for one in given:
        text, colon, weight = one.rpartition(":")
        try:
            terms.append(Term(float(weight), text) if colon else Term(1.0, one))
        except ValueError:
            raise TMCIRError(f"--term {one}: write TEXT:WEIGHT, such as buttons:-0.5") from None
    return (*terms, *(Term(WITHOUT_WEIGHT, text) for text in without))


def _note_unread(text: str) -> None:
    """Say on stderr which end of a text was not read."""
    from tmcir.core.text import on_one_line

    if text:
        typer.echo(f'the text is too long for the model; not read: "{on_one_line(text)}"', err=True)


def _note_end(hits: list[Hit], k: int, min_relevance: float) -> None:
    """Say on stderr where nothing more is close to the query."""
    from tmcir.gallery.relevance import WEAK

    if min_relevance and len(hits) < k:
        found = "no other photo fits" if hits else "no photo fits"
        typer.echo(f"{found} with a relevance of {min_relevance:g} or more", err=True)
    elif not hits:
        typer.echo("no photo fits", err=True)
    elif hits[0].relevance < WEAK:
        typer.echo(f"nothing is close to this: relevance is below {WEAK:g}", err=True)
    elif weak := [hit.rank for hit in hits if hit.relevance < WEAK]:
        typer.echo(f"nothing closer than this from rank {weak[0]} on", err=True)


def _print_hits(hits: list[Hit]) -> None:
    from tmcir.core.text import on_one_line

    for hit in hits:
        details = "  ".join(str(value) for value in hit.metadata.values() if value is not None)
        more = f"  (+{len(hit.duplicates)} like it)" if hit.duplicates else ""
        if hit.grouped:
            more += f"  ({len(hit.grouped) + 1} photos of it)"
        line = f"{hit.rank:4}  {hit.relevance:.3f}  {hit.id}{more}  {details}".rstrip()
        typer.echo(on_one_line(line))  # file names and cells may hold control characters


def explain(
    model: ModelName,
    image: Annotated[Path, typer.Option(help="Reference image.")],
    text: Annotated[str, typer.Option(help="How the result should differ from it.")],
    gallery: Annotated[
        str | None,
        typer.Option(help="Gallery to show what image, text and both would find in it."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of results of each.")] = 8,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
    runtime: RuntimeName = "auto",
    as_json: Json = False,
) -> None:
    """Show how a model composes a query of image and text.

    The gate says how much image and text count; with token fusion, each word comes with the patches
    of the image that merged into it.

    \b
    Example:
      tmcir explain mini --image photos/test-000247.jpg --text "in red" --html explained.html
    """
    from tmcir.core.text import on_one_line
    from tmcir.models.explanation import explanation_lines, render_explanation
    from tmcir.runtime.loading import checked_runtime, load

    loaded = load(model, runtime=checked_runtime(runtime))
    explanation = loaded.explain(image, text)
    _note_unread(loaded.unread(text))
    found: dict[str, list[Hit]] = {}
    if gallery is not None:
        opened = open_gallery(gallery, model, create=False, runtime=runtime)
        found["image and text"] = opened.search(image, text, k)
        found["image alone"] = opened.search(image, None, k)
        found["text alone"] = opened.search(None, text, k)
    if html is not None:
        from tmcir.core.files import write_text

        rows = [(title, [(hit.id, hit.path) for hit in hits]) for title, hits in found.items()]
        write_text(html, render_explanation(explanation, image, text, rows))
    ids = {title: [hit.id for hit in hits] for title, hits in found.items()}
    if as_json:
        content = dataclasses.asdict(explanation)
        print_json({"image": image, "text": text, **content, "results": ids})
        return
    for line in explanation_lines(explanation):
        typer.echo(line)
    for title, names in ids.items():
        typer.echo(on_one_line(f"{title}: {', '.join(names)}"))
    if html is not None:
        typer.echo(f"page: {html}", err=True)
