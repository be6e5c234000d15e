"""The command line: parse, call one function, print."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from tmcir import __version__
from tmcir.core.errors import TMCIRError, missing_package

if TYPE_CHECKING:
    from tmcir.data.dataset import Dataset
    from tmcir.gallery import Gallery, Hit
    from tmcir.gallery.stores.base import Precision

LINE_SECONDS = 30.0  # between lines of progress where there is no terminal

app = typer.Typer(
    name="tmcir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Composed image retrieval: this image, but ...",
)
data_app = typer.Typer(no_args_is_help=True, help="Look at datasets.")
app.add_typer(data_app, name="data")
gallery_app = typer.Typer(no_args_is_help=True, help="Look at a gallery, and change it.")
app.add_typer(gallery_app, name="gallery")


class _SeveralValues(TyperCommand):
    """A command whose options --seeds and --cells take all values up to the next argument."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined: list[str] = []
        listing = False
        for argument in args:
            if listing and "=" not in argument and not argument.startswith("-"):
                joined[-1] = f"{joined[-1]},{argument}".removeprefix(",")
                continue
            joined.append(argument)
            listing = argument in ("--seeds", "--cells")
            if listing:
                joined.append("")
        return super().parse_args(ctx, joined)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"tmcir {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Composed image retrieval: this image, but ..."""


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Option(help="Folder that gets everything.")] = Path(
        "runs/quickstart"
    ),
) -> None:
    """See everything work, small, in five minutes on two cores, without data and without network.

    Draws a catalogue of garments, makes pseudo-targets, trains the shipped model a little further,
    measures it, indexes the catalogue and answers queries on one page. A run that was stopped
    goes on where it stood.

    Example: `tmcir quickstart`
    """
    from tmcir.quickstart import quickstart

    report = quickstart(folder, _Console())
    minutes, seconds = divmod(round(report.seconds), 60)
    typer.echo(
        f"done in {minutes} min {seconds:02d} s, peak memory {report.memory / 1e9:.1f} GB\n"
        f"look at it: {report.page}\n"
        "\n"
        "Search on, with words of your own:\n"
        f'  tmcir search {report.gallery} --text "a red dress with lace trim" --html hits.html\n'
        "Then your own photos:\n"
        "  tmcir index shop PHOTOS --model mini\n"
        '  tmcir search shop --image PHOTO --text "the same in navy" --html hits.html\n'
        "A model that knows your catalogue is trained from triplets: see docs/training.md"
    )


class _Console:
    """Speaks to the person at the terminal."""

    def say(self, line: str) -> None:
        typer.echo(line)

    def progress(self, description: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return _progress_bar(description)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as dotted.key=value.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the recipe and its data, and stop.")
    ] = False,
) -> None:
    """Train the stages that a recipe lists; a run that was killed goes on where it stood.

    Example: `tmcir train fashion-products-short dataset.root=photos stages.fuse.epochs=3`
    """
    from tmcir.evaluation import score_weights, validation_score
    from tmcir.training import check_run, load_recipe, train

    settings = load_recipe(recipe, overrides or [])
    if check:
        check_run(settings)
        typer.echo(f"{recipe}: nothing wrong")
        return
    model = train(settings, validation_score, score_weights)
    typer.echo(f"model: {model}")


@app.command()
def generate(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as dotted.key=value.")
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: make the i-th of n parts, on as many machines.")
    ] = "1/1",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many triplets of the shard.")
    ] = None,
) -> None:
    """Make pseudo-targets: references edited as their modification texts ask.

    A run that was killed goes on where it stood. Other thresholds than those of the run before
    judge what is there anew.

    Example: `tmcir generate fashion-products-pseudo-targets dataset.root=photos --limit 200`
    """
    from tmcir.core.images import on_one_line
    from tmcir.generation import generate, load_generate_recipe

    settings = load_generate_recipe(recipe, overrides or [])
    with _progress_bar("editing") as progress:
        report = generate(settings, _shard(shard), limit, progress)
    for name, reason in report.skipped:
        typer.echo(f"skipped {on_one_line(name)}: {reason}", err=True)
    typer.echo(report)


def _shard(given: str) -> tuple[int, int]:
    number, separator, count = given.partition("/")
    if not (separator and number.isdecimal() and count.isdecimal()):
        raise TMCIRError(f"--shard {given}: write i/n, such as 1/4 for the first of four parts")
    return int(number), int(count)


@app.command("train-editor")
def train_editor(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as dotted.key=value.")
    ] = None,
) -> None:
    """Train a small image editor for pseudo-targets; a run that was killed goes on.

    Example: `tmcir train-editor fashion-products-editor dataset.root=photos`
    """
    from tmcir.generation import load_editor_recipe, train_editor

    typer.echo(f"editor: {train_editor(load_editor_recipe(recipe, overrides or []))}")


DatasetName = Annotated[
    str, typer.Argument(help="fashion-iq, cirr, circo, fashion-products, jsonl or rendered.")
]
DatasetRoot = Annotated[Path, typer.Option(help="Folder of the dataset.")]
Split = Annotated[
    str | None, typer.Option(help="The split; without it the dataset's usual one for measuring.")
]
Categories = Annotated[
    str | None, typer.Option(help="Fashion-IQ only: categories, such as dress,shirt.")
]
Method = Annotated[
    str, typer.Option(help="tmcir (the model's own method), or a baseline: image, text, sum.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images encoded at once.")]


@data_app.command("check")
def data_check(
    dataset: DatasetName,
    root: DatasetRoot,
    split: Split = None,
    categories: Categories = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Count queries and galleries, and name every missing or broken image.

    Exits with code 1 if there is one; a folder with annotation only is no error.

    Example: `tmcir data check fashion-iq --root data/fashion-iq --split val`
    """
    from tmcir.data.check import check_dataset

    opened = _open_dataset(dataset, root, split, categories)
    with _progress_bar("reading images") as progress:
        found = check_dataset(opened, progress)
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else found)
    if not found.good and not found.annotation_only:
        raise typer.Exit(1)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Model directory, name, or Hugging Face id.")],
    dataset: Annotated[str, typer.Option(help="Name of the dataset, as for `tmcir data check`.")],
    root: DatasetRoot,
    split: Split = None,
    protocol: Annotated[
        str | None, typer.Option(help="Evaluation protocol; without it the dataset's first.")
    ] = None,
    method: Method = "tmcir",
    categories: Categories = None,
    batch_size: BatchSize = 64,
    balance: Annotated[
        bool, typer.Option("--balance", help="Measure how far queries follow image and text, too.")
    ] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write the report to this file; - prints it.")
    ] = None,
) -> None:
    """Measure a model by a protocol of the field, with 95% intervals.

    Example: `tmcir evaluate runs/model --dataset fashion-products --root photos --json report.json`
    """
    from tmcir.core.files import require_writable
    from tmcir.evaluation import evaluate
    from tmcir.models import load

    opened = _open_dataset(dataset, root, split, categories)
    opened.check_protocol(protocol)
    if json_file not in (None, "-"):
        require_writable(Path(json_file))
    with _progress_bar("encoding images") as progress:
        report = evaluate(load(model), opened, protocol, method, batch_size, progress, balance)
    if json_file == "-":
        typer.echo(report.to_json(), nl=False)
        return
    typer.echo(report)
    if json_file is not None:
        report.save(json_file)


@app.command(cls=_SeveralValues)
def benchmark(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to change, of the base recipe too, as dotted.key=value."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0 1 2; one number says how many.")
    ] = None,
    cells: Annotated[
        str | None, typer.Option(help="Names of the cells to run, such as sum tirg; else all.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of all results; without it runs/RECIPE.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Cells trained at once; they share the cores.")
    ] = 1,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write the results to this file, too; - prints it.")
    ] = None,
) -> None:
    """Train and measure methods and ablations alike, and compare them in one table.

    A run that was killed goes on where it stood. Exits with code 1 if a cell failed; the table says
    which is missing.

    Example: `tmcir benchmark benchmark-fashion-products dataset.root=photos --seeds 0 1 2`
    """
    from tmcir.benchmark import load_benchmark, run_benchmark
    from tmcir.benchmark.table import table
    from tmcir.core.files import require_writable, write_json

    given = overrides or []
    if output is not None:
        given = [*given, f"output={json.dumps(str(output))}"]
    settings = load_benchmark(recipe, given)
    if json_file not in (None, "-"):
        require_writable(Path(json_file))
    results = run_benchmark(
        settings,
        [] if cells is None else cells.split(","),
        [] if seeds is None else _seeds(seeds),
        processes,
        lambda line: typer.echo(line, err=True),
    )
    if json_file == "-":
        typer.echo(json.dumps(results.as_dict(), indent=2, ensure_ascii=False))
    else:
        typer.echo(table(results), nl=False)
        if json_file is not None:
            write_json(Path(json_file), results.as_dict())
    typer.echo(f"results: {settings.folder}", err=True)
    if not results.complete:
        raise typer.Exit(1)


def _seeds(given: str) -> list[int]:
    """Return the seeds that ``0,1,2`` lists; a single number says how many."""
    parts = given.split(",")
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise TMCIRError(f"--seeds {given}: write each seed once, such as 0 1 2, or how many")
    if len(parts) > 1:
        return [int(part) for part in parts]
    if int(given) < 1:
        raise TMCIRError(f"--seeds {given}: at least one seed is needed")
    return list(range(int(given)))


@app.command()
def submit(
    dataset: Annotated[str, typer.Argument(help="cirr or circo.")],
    model: Annotated[str, typer.Argument(help="Model directory, name, or Hugging Face id.")],
    root: DatasetRoot,
    out: Annotated[Path, typer.Option(help="Folder that gets the files.")],
    split: Annotated[
        str | None, typer.Option(help="The split; without it test1 of CIRR, test of CIRCO.")
    ] = None,
    method: Method = "tmcir",
    batch_size: BatchSize = 64,
) -> None:
    """Write the files that the test servers of CIRR and CIRCO take.

    Example: `tmcir submit cirr runs/model --root data/cirr --out submission`
    """
    from tmcir.core.files import require_writable
    from tmcir.evaluation.submission import open_hidden_split, submit
    from tmcir.models import load

    opened = open_hidden_split(dataset, root, split)
    require_writable(out / "submission.json")
    with _progress_bar("encoding images") as progress:
        files = submit(load(model), opened, out, method, batch_size, progress)
    for file in files:
        typer.echo(file)


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
ExactUpTo = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Photos up to which searches are exact; beyond, an index is built. Default 200,000.",
    ),
]


@app.command()
def index(
    gallery: GalleryAddress,
    photos: Annotated[Path, typer.Argument(help="Folder of photos, searched recursively.")],
    metadata: Annotated[
        Path | None, typer.Option(help="CSV with a row per photo, to filter by and to show.")
    ] = None,
    metadata_key: Annotated[
        str | None, typer.Option(help="Its column that names the photos; found if left out.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model directory, name or id; an old gallery knows its own.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove photos that are not in the folder any more.")
    ] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="A new gallery keeps vectors in half the space.")
    ] = False,
    exact_up_to: ExactUpTo = None,
) -> None:
    """Make a gallery from photos, or bring it up to date; only new or changed photos are encoded.

    A run that was stopped goes on where it stood.

    Example: `tmcir index shop photos --metadata styles.csv --model runs/model`
    """
    from tmcir.core.images import on_one_line

    precision: Precision = "float16" if float16 else "float32"
    opened = _open_gallery(gallery, model, True, precision, exact_up_to)
    with _progress_bar("indexing photos") as progress:
        report = opened.add(
            photos, metadata, metadata_key=metadata_key, progress=progress, prune=prune
        )
    for name, reason in report.skipped:
        typer.echo(f"skipped {on_one_line(name)}: {reason}", err=True)
    for note in report.notes:
        typer.echo(f"metadata: {note}", err=True)
    pruned = f" {report.removed:,} removed," if prune else ""
    typer.echo(
        f"{gallery}: {len(opened):,} photos ({report.added:,} added, {report.updated:,} updated,"
        f" {report.unchanged:,} unchanged,{pruned} {len(report.skipped):,} skipped) in"
        f" {report.seconds:.1f} s, {report.images_per_second:.1f} images/s"
    )


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Model directory, name, or Hugging Face id.")],
    image: Annotated[Path, typer.Option(help="Reference image.")],
    text: Annotated[str, typer.Option(help="How the result should differ from it.")],
    gallery: Annotated[
        str | None,
        typer.Option(help="Gallery to show what image, text and both would find in it."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many results of each.")] = 8,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Say how a query came about: the gate, and which patches each word took over.

    Example: `tmcir explain runs/model --image ref.jpg --text "in red" --gallery shop --html a.html`
    """
    from tmcir.core.images import on_one_line
    from tmcir.models import load
    from tmcir.models.explanation import explanation_lines, render_explanation

    loaded = load(model)
    told = loaded.explain(image, text)
    found: dict[str, list[Hit]] = {}
    if gallery is not None:
        opened = _open_gallery(gallery, model, create=False)
        found["image and text"] = opened.search(image, text, k)
        found["image alone"] = opened.search(image, None, k)
        found["text alone"] = opened.search(None, text, k)
    if html is not None:
        from tmcir.core.files import write_text

        rows = [(title, [(hit.id, hit.path) for hit in hits]) for title, hits in found.items()]
        write_text(html, render_explanation(told, image, text, rows))
    ids = {title: [hit.id for hit in hits] for title, hits in found.items()}
    if as_json:
        content = {"image": str(image), "text": text, **dataclasses.asdict(told), "results": ids}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for line in explanation_lines(told):
        typer.echo(line)
    for title, names in ids.items():
        typer.echo(on_one_line(f"{title}: {', '.join(names)}"))
    if html is not None:
        typer.echo(f"page: {html}", err=True)


@app.command()
def search(
    gallery: GalleryAddress,
    image: Annotated[Path | None, typer.Option(help="Reference image.")] = None,
    text: Annotated[
        str | None, typer.Option(help="How it should differ; without --image, what to find.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many results.")] = 20,
    where: Annotated[
        str | None, typer.Option(help="SQL condition on id and metadata columns.")
    ] = None,
    balance: Annotated[
        float, typer.Option(help="From -1 (follow the image only) to 1 (the text only).")
    ] = 0.0,
    item: Annotated[
        str | None, typer.Option(help="Id of a photo of the gallery, in place of --image.")
    ] = None,
    more_like: Annotated[
        list[str] | None, typer.Option(help="Id of a photo to be more like; may be given again.")
    ] = None,
    less_like: Annotated[
        list[str] | None, typer.Option(help="Id of a photo to be less like; may be given again.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Results to leave out before the first.")] = 0,
    deduplicate: Annotated[
        bool, typer.Option("--deduplicate", help="Show photos that look the same once.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page of thumbnails here.")] = None,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
) -> None:
    """Search a gallery with an image, a text, or both: this image, but ...

    Example: `tmcir search shop --image ref.jpg --text "in red" --where "year > 2012" --html a.html`
    """
    from tmcir.core.images import on_one_line
    from tmcir.gallery import Query

    opened = _open_gallery(gallery, model, False, exact_up_to=exact_up_to)
    query = Query(image, item, text or "", balance, tuple(more_like or ()), tuple(less_like or ()))
    query.check()
    hits = opened.find(
        opened.embed([query])[0], k, where=where, offset=offset, deduplicate=deduplicate
    )
    if html is not None:
        from tmcir.gallery.page import write_page

        write_page(html, opened, query, hits, where)
    if as_json:
        rows = [{**dataclasses.asdict(hit), "path": str(hit.path)} for hit in hits]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for hit in hits:
        details = "  ".join(str(value) for value in hit.metadata.values() if value is not None)
        more = f"  (+{len(hit.duplicates)} like it)" if hit.duplicates else ""
        line = f"{hit.rank:4}  {hit.score:.3f}  {hit.id}{more}  {details}".rstrip()
        typer.echo(on_one_line(line))  # file names and cells may hold control characters
    if html is not None:
        typer.echo(f"page: {html}", err=True)


@app.command("serve")
def serve_gallery(
    gallery: GalleryAddress,
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine unless told.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="Key that opens the API; repeat for more. Or set TMCIR_API_KEYS=a,b."),
    ] = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Let other machines search without a key.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Host name that requests may ask for, such as that of a proxy."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Other site that may call the API; repeat for more.")
    ] = None,
    title: Annotated[str, typer.Option(help="What the page calls the gallery.")] = "Search",
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 30.0,
    maximum_upload: Annotated[
        int, typer.Option(min=1, help="Megabytes of a request with an image.")
    ] = 10,
    queue_size: Annotated[
        int, typer.Option(min=1, help="Searches at once; more are turned away.")
    ] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Queries encoded at once.")] = 16,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
) -> None:
    """Serve a gallery: a page to search with, and an HTTP API.

    Example: `tmcir serve shop --port 8000`
    """
    from tmcir.service import (
        ServiceSettings,
        allowed_hosts,
        check_address,
        keys_from_environment,
        serve,
    )

    settings = ServiceSettings(
        title=title,
        api_keys=(*(api_key or []), *keys_from_environment()),
        cors_origins=tuple(cors_origin or ()),
        allowed_hosts=allowed_hosts(host, allowed_host or []),
        maximum_upload=maximum_upload * 2**20,
        timeout=timeout,
        queue_size=queue_size,
        batch_size=batch_size,
    )
    check_address(host, settings, without_key)
    opened = _open_gallery(gallery, model, False, exact_up_to=exact_up_to)
    typer.echo(f"http://{host}:{port}/  ({len(opened):,} photos; Ctrl-C stops)", err=True)
    serve(opened, settings, host, port)


@gallery_app.command("info")
def gallery_info(
    gallery: GalleryAddress,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
    recall_queries: Annotated[
        int, typer.Option(min=0, help="Queries that the recall of an index is measured on.")
    ] = 50,
    model: GalleryModel = None,
    exact_up_to: ExactUpTo = None,
) -> None:
    """Say what a gallery is made of, and how much of the exact result its searches find.

    Example: `tmcir gallery info shop`
    """
    opened = _open_gallery(gallery, model, False, exact_up_to=exact_up_to)
    info = opened.info(recall_queries)
    typer.echo(json.dumps(dataclasses.asdict(info), indent=2) if as_json else info)


@gallery_app.command("remove")
def gallery_remove(
    gallery: GalleryAddress,
    ids: Annotated[list[str], typer.Argument(help="Ids of photos, as `tmcir search` shows them.")],
    model: GalleryModel = None,
) -> None:
    """Remove photos from a gallery; their files stay.

    Example: `tmcir gallery remove shop shoes/10.jpg shoes/11.jpg`
    """
    opened = _open_gallery(gallery, model, create=False)
    removed = opened.remove(ids)
    typer.echo(f"{gallery}: {removed:,} of {len(set(ids)):,} removed, {len(opened):,} photos left")


@gallery_app.command("export")
def gallery_export(
    gallery: GalleryAddress,
    path: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    model: GalleryModel = None,
) -> None:
    """Write ids, paths, hashes, metadata and vectors to a Parquet file.

    Example: `tmcir gallery export shop shop.parquet`
    """
    count = _open_gallery(gallery, model, create=False).export(path)
    typer.echo(f"{path}: {count:,} photos")


def _open_gallery(
    uri: str,
    model: str | None,
    create: bool,
    precision: Precision = "float32",
    exact_up_to: int | None = None,
) -> Gallery:
    from tmcir.gallery import Gallery
    from tmcir.gallery.stores.base import EXACT_UP_TO

    if model is None or not create:  # before a model is loaded, which takes seconds
        stored = Gallery.read_model(uri)
        if stored is None and create:
            raise TMCIRError(f"{uri}: say with --model which model to use")
        if stored is None:
            raise TMCIRError(
                f"{uri}: there is no gallery; make one with `tmcir index {uri} PHOTOS`"
            )
    limit = EXACT_UP_TO if exact_up_to is None else exact_up_to
    return Gallery.open(uri, model, precision=precision, exact_up_to=limit)


def _open_dataset(name: str, root: Path, split: str | None, categories: str | None) -> Dataset:
    from tmcir.data.datasets import open_dataset

    options = {} if categories is None else {"categories": categories}
    return open_dataset(name, root, split, **options)


@contextmanager
def _progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr, or lines where that is no terminal; yield what moves it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _progress_lines(description)
        return
    columns = (TextColumn(description), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_lines(description: str) -> Callable[[int, int], None]:
    """Return what prints a line now and then, for logs."""
    began = spoken = time.monotonic()
    first: int | None = None

    def move(done: int, total: int) -> None:
        nonlocal began, spoken, first
        now = time.monotonic()
        if first is None:  # the speed is that from here on, without the time of loading
            began, first = now, done
        if now - spoken < LINE_SECONDS or done <= first:
            return
        spoken = now
        left = (now - began) / (done - first) * (total - done)
        typer.echo(f"{description}  {done}/{total}  {left / 60:.1f} min left", err=True)

    return move


@app.command()
def recipes() -> None:
    """List the recipes that the package ships, and the command that each is for.

    Example: `tmcir recipes`
    """
    from tmcir.runs.settings import recipe_command, recipe_description, recipe_names

    for name in recipe_names():
        typer.echo(f"{name:32}{recipe_command(name):14}{recipe_description(name)}")


@app.command()
def models() -> None:
    """List the models and the editors that the package ships; they need no network.

    Example: `tmcir models`
    """
    from tmcir.core.shipped import EDITOR_INDEX, MODEL_INDEX, shipped_names

    for kind, index, use in (
        ("model", MODEL_INDEX, "tmcir index GALLERY PHOTOS --model {name}"),
        ("editor", EDITOR_INDEX, "tmcir generate RECIPE editor.source={name}"),
    ):
        for name in shipped_names(index):
            typer.echo(f"{name:28}{kind:14}{use.format(name=name)}")


@app.command()
def doctor() -> None:
    """Print versions and devices, for a bug report.

    Example: `tmcir doctor`
    """
    from tmcir.cli.doctor import report

    typer.echo(report())


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except TMCIRError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        _fail(str(missing))
    except TyperException as error:  # an unknown command, a value of the wrong kind
        _fail_usage(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # what reads our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a disk that is full, a folder that vanished
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(2)


def _fail_usage(error: TyperException) -> NoReturn:
    context = getattr(error, "ctx", None)
    message = str(getattr(error, "format_message", lambda: error)()).rstrip(".")
    if context is None:
        _fail(message)
    if not message.strip():  # no argument at all: the help is the answer, and it is printed
        sys.exit(2)
    _fail(f"{message}; see `{context.command_path} --help`")
