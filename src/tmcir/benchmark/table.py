"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tmcir.benchmark.results import GROUPS, CellResult, Results
from tmcir.benchmark.statistics import Comparison, Mean
from tmcir.evaluation.interventions import SWAPPED, WITHOUT

_BALANCE = {
    "image_contribution": "image adds",
    "text_contribution": "text adds",
    "image_share": "share of the image",
    "similarity_to_image": "cos to image",
    "similarity_to_text": "cos to text",
    "reference_first": "reference first",
    "text_answer_first": "text's answer first",
    "kept_too_much": "kept too much",
    "changed_too_much": "changed too much",
}
_NOT_THERE = "-"


def table(results: Results) -> str:
    """Return the page of results: the figures, the balance, and how to read them."""
    parts = [
        f"# {results.name}",
        f"{results.dataset} {results.split}, protocol {results.protocol}:"
        f" {results.queries:,} queries over {results.gallery:,} images;"
        f" {_seeds(results.seeds)}.",
        _figures(results),
        _notes(results),
        _kinds(results),
        "## Balance between image and text",
        _balance(results),
        "The contribution of image or text is what it adds to the target's score, in standard"
        " deviations of a ranking's scores (Shapley values); a modality that is ignored adds 0."
        " The other columns except cosines are percent of the queries.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(results: Results) -> str:
    names = list(next(cell.metrics for cell in results.cells if cell.metrics))
    other = next((c.title for c in results.cells if c.name == results.compared_with), "")
    figure = results.compared_by[0]
    shown = any(cell.interventions for cell in results.cells)
    head = [
        "",
        *names,
        *(f"{name} against {other or results.compared_with}" for name in results.compared_by),
        *(f"{figure}, {name}" for name in (SWAPPED, WITHOUT) if shown),
        "weights trained / in all",
        "training, min",
        "compose, ms alone / in a batch",
    ]
    rows = [_row(cell, names, results, shown) for cell in results.cells]
    return _markdown(head, _grouped(results.cells, rows, len(head)))


def _row(
    cell: CellResult, names: Sequence[str], results: Results, interventions: bool
) -> list[str]:
    if cell.metrics is None:
        return [cell.title, "missing"]
    cost = _NOT_THERE
    if cell.compose is not None:
        cost = f"{cell.compose.single:.2f} / {cell.compose.batched:.3f}"
    some = f" ({len(cell.seeds)} of {len(results.seeds)} seeds)" if cell.missing else ""
    return [
        cell.title + some,
        *(_mean(cell.metrics.get(name), 2) for name in names),
        *(_comparison((cell.comparisons or {}).get(name)) for name in results.compared_by),
        *(
            _mean(cell.interventions.get(name, {}).get(results.compared_by[0]), 2)
            for name in (SWAPPED, WITHOUT)
            if interventions
        ),
        f"{cell.trained:,} / {cell.weights:,}",
        f"{cell.train_seconds / 60:.1f}",
        cost,
    ]


def _balance(results: Results) -> str:
    there = [cell for cell in results.cells if cell.balance]
    names = [name for name in _BALANCE if any(name in (cell.balance or {}) for cell in there)]
    rows = [
        [cell.title, *(_mean((cell.balance or {}).get(name), 2) for name in names)]
        for cell in there
    ]
    return _markdown(
        ["", *(_BALANCE[name] for name in names)], _grouped(there, rows, len(names) + 1)
    )


def _kinds(results: Results) -> str:
    """Return the section of figures by kind of query; empty where queries have no kinds."""
    there = [cell for cell in results.cells if cell.kinds]
    if not there:
        return ""
    names = list(there[0].kinds)
    rows = [[cell.title, *(_mean(cell.kinds.get(name), 1) for name in names)] for cell in there]
    body = _markdown(["", *names], _grouped(there, rows, len(names) + 1))
    return f"## {results.compared_by[0]} by kind of query\n\n{body}"


def _notes(results: Results) -> str:
    several = len(results.seeds) > 1
    mean = (
        "Figures are means over the seeds with 95% intervals by Student's t."
        if several
        else "Figures are those of one seed: how another seed would turn out is not known."
    )
    drawn = "seeds and clusters of queries" if several else "clusters of queries"
    noise = (
        " *within noise* where the interval holds zero."
        if several
        else " There is no verdict: the interval of one seed lacks the variance of training."
    )
    missing = [
        f"- {cell.title}: missing with {_reasons(cell)}" for cell in results.cells if cell.missing
    ]
    lines = [
        f"{mean} Differences are paired, with 95% intervals by the bootstrap over {drawn} (queries"
        f" with one target, or one caption of it, are a cluster).{noise} *{SWAPPED}* and"
        f" *{WITHOUT}* measure the same model after an intervention: each query reads another"
        " query's patches, or what the fusion reads of tokens is zero. Weights trained are those of"
        " the cell's own stages, without a stage align that cells share; training time counts all"
        " that leads to the cell.",
        *([""] if missing else []),
        *missing,
    ]
    return "\n".join(lines)


def _grouped(cells: Sequence[CellResult], rows: Sequence[list[str]], width: int) -> list[list[str]]:
    """Insert a line with the group's title before the first row of each group."""
    found: list[list[str]] = []
    group = ""
    for cell, row in zip(cells, rows, strict=True):
        if cell.group != group:
            group = cell.group
            found.append([f"**{GROUPS[group]}**", *[""] * (width - 1)])
        found.append([*row, *[""] * (width - len(row))])
    return found


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _mean(mean: Mean | None, digits: int) -> str:
    if mean is None:
        return _NOT_THERE
    text = f"{mean.value:.{digits}f}"
    if mean.low is None or mean.high is None:
        return text
    return f"{text} [{mean.low:.{digits - 1}f}, {mean.high:.{digits - 1}f}]"


def _comparison(found: Comparison | None) -> str:
    if found is None:
        return _NOT_THERE
    verdict = "" if found.verdict is None else f" {found.verdict}"
    return f"{found.difference:+.2f} [{found.low:+.1f}, {found.high:+.1f}]{verdict}"


def _reasons(cell: CellResult) -> str:
    found = (f"seed {seed}: {reason}" for seed, reason in cell.missing.items())
    return " ".join("; ".join(found).split())


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
