"""The model card of a tuned model: data, columns, figures, limits."""

from __future__ import annotations

from collections.abc import Sequence

from tmcir.models.card import FRONT_MATTER, USE
from tmcir.tuning.figures import COLUMNS, Comparison
from tmcir.tuning.result import Tuned
from tmcir.tuning.settings import TuneSettings


def tuned_card(settings: TuneSettings, tuned: Tuned, compared: Comparison) -> str:
    """Return the Markdown of README.md."""
    counts = tuned.products
    left_out = [f"- {name}: {reason}" for name, reason in tuned.left_out.items()]
    return "\n".join(
        [
            FRONT_MATTER,
            f"# {settings.output.name}",
            "",
            _summary(settings, tuned),
            "",
            "## Data",
            "",
            f"A catalogue of {sum(counts.values()):,} products: {counts.get('train', 0):,} to"
            " train,"
            f" {counts.get('val', 0):,} to validate, {counts.get('test', 0):,} held out, split by a"
            " hash of the product, near-duplicate photos together.",
            "",
            f"Queries change these columns: {', '.join(tuned.columns)}.",
            *(["", "Left out:", "", *left_out] if left_out else []),
            "",
            "## Figures",
            "",
            f"On {compared.reports['after'].overall.queries:,} queries over"
            f" {compared.reports['after'].overall.gallery:,} held-out photos, in percent with 95 %"
            " intervals over queries. Sum, image and text are over the tuned towers.",
            "",
            *_markdown([("", *COLUMNS), *compared.rows()]),
            "",
            *_markdown(
                [
                    ("column", "queries", "R@10 before", "after", "mAP@10 before", "after"),
                    *compared.column_rows(),
                ]
            ),
            "",
            f"After minus before, mAP@10: {compared.gain}, {compared.verdict}.",
            "",
            "## Limits",
            "",
            "Measured with texts made from the table's own columns, in forms that training saw,"
            " over photos of the same catalogue. Other photos, other attributes and other ways to"
            " say things were not measured.",
            "",
            USE,
        ]
    )


def _summary(settings: TuneSettings, tuned: Tuned) -> str:
    what = "heads and towers" if settings.full else "heads over frozen towers"
    if tuned.better:
        return f"`{settings.model_name}`, tuned on one catalogue ({what}, seed {settings.seed})."
    return (
        f"`{settings.model_name}` as it was: tuning it on one catalogue ({what}, seed"
        f" {settings.seed}) gave no model that is better beyond noise."
    )


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *others = [f"| {' | '.join(row)} |" for row in rows]
    return [head, f"|{' --- |' * len(rows[0])}", *others]
