"""The page of the quickstart: figures, queries, results, merge maps."""

from __future__ import annotations

from collections.abc import Sequence

from tmcir.core.images import thumbnail
from tmcir.core.pages import render
from tmcir.models.explanation import explanation_view
from tmcir.quickstart.answers import Answer
from tmcir.quickstart.comparison import Comparison
from tmcir.quickstart.figures import COLUMNS, rows

_SIDE = 224  # pixels


def render_page(compared: Comparison, answers: Sequence[Answer]) -> str:
    """Return an HTML page that needs nothing else.

    Args:
        compared: The figures.
        answers: The queries to show.
    """
    first = compared.reports[0].overall
    return render(
        "tmcir.quickstart",
        "quickstart.html",
        columns=COLUMNS,
        rows=rows(compared.reports),
        gain=str(compared.gain),
        verdict=compared.verdict,
        queries=first.queries,
        gallery=first.gallery,
        answers=[_shown(answer) for answer in answers],
    )


def _shown(answer: Answer) -> dict[str, object]:
    return {
        "text": answer.text,
        "reference": thumbnail(answer.reference, _SIDE),
        "results": [
            {"rank": rank, "picture": thumbnail(hit.path, _SIDE), "right": right, "id": hit.id}
            for rank, (hit, right) in enumerate(
                zip(answer.hits, answer.right, strict=True), start=1
            )
        ],
        "explanation": explanation_view(answer.explanation, answer.reference),
    }
