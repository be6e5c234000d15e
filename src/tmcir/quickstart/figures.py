"""The table of the quickstart: the methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

from tmcir.evaluation import Report

NAMES = {
    "after": "after",
    "before": "before: sum",
    "shipped": "mini's own",
    "image": "image only",
    "text": "text only",
}
COLUMNS = ("mAP@10", "R@1", "R@10", "changed@10", "kept@10")


def rows(reports: Sequence[Report]) -> list[tuple[str, list[str]]]:
    """Return for each report its method's name and the figures of ``COLUMNS`` in percent."""
    return [
        (
            NAMES.get(report.method, report.method),
            [f"{report.overall.metrics[name].value:.1f}" for name in COLUMNS],
        )
        for report in reports
    ]


def table(reports: Sequence[Report]) -> list[str]:
    """Return the lines of a plain table."""
    lines = [f"{'':12}" + "".join(f"{name:>12}" for name in COLUMNS)]
    for name, figures in rows(reports):
        lines.append(f"{name:12}" + "".join(f"{figure:>12}" for figure in figures))
    return lines
