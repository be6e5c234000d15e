"""The results as plots: figures with intervals, and all methods on a plane of balance."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from tmcir.benchmark.results import GROUPS, CellResult, Results
from tmcir.benchmark.statistics import Mean

# Colours that differ in lightness, too (Okabe and Ito), and a shape a group.
_COLOURS = {"baseline": "#0072b2", "ablation": "#d55e00", "method": "#009e73"}
_MARKERS = {"baseline": "o", "ablation": "s", "method": "*"}
_SIZES = {"baseline": 6.0, "ablation": 5.5, "method": 13.0}
_GREY = "#5c5c5c"
# The line from a point to the left end of its name.
_LEADER = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6, "relpos": (0.0, 0.5)}
# Methods within this share of the plane around one of them are a cluster if there are enough.
_CLUSTER_SHARE, _MIN_CLUSTER = 0.2, 5
# Space to the right of the points for names, as a share of the plane.
_FOR_NAMES = 0.25


class Placed(NamedTuple):
    """A cell on a plane."""

    cell: CellResult
    x: Mean
    y: Mean


def draw_results(results: Results) -> bytes:
    """Return `results_figure` as a PNG."""
    return _png(results_figure(results))


def draw_balance(results: Results) -> bytes:
    """Return `balance_figure` as a PNG."""
    return _png(balance_figure(results))


def results_figure(results: Results) -> Figure:
    """Draw the compared figures, one panel each, with one line per cell."""
    cells = [cell for cell in results.cells if cell.metrics]
    names = results.compared_by
    figure = Figure(figsize=(3 + 3.4 * len(names), 1.6 + 0.3 * len(cells)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for row, cell in enumerate(cells):
            found = (cell.metrics or {}).get(name)
            if found is not None:
                _point(panel, cell, found, Mean(row, None, None, ()))
                if cell.name == results.compared_with:
                    panel.axvline(found.value, color=_GREY, linewidth=0.8, linestyle=":", zorder=0)
        panel.set_xlabel(f"{name}, percent")
        panel.grid(axis="x", color="#e4e4e4", linewidth=0.8, zorder=0)
    panels[0].set_yticks(range(len(cells)), [cell.title for cell in cells])
    panels[0].set_ylim(len(cells) - 0.4, -0.6)
    interval = ", 95% intervals over seeds" if len(results.seeds) > 1 else ", one seed"
    figure.suptitle(f"{results.name}: {results.dataset} {results.split}{interval}", fontsize=10)
    return figure


Plane = tuple[
    str, str, Callable[[CellResult], Mean | None], Callable[[CellResult], Mean | None], bool
]
"""Labels of x and y, what gives them for a cell, and whether to draw lines of equal sums."""


def balance_figure(results: Results) -> Figure:
    """Draw all methods by the contributions of image (x) and text (y).

    If the dataset's attributes are known, a second plane has changed@10 over kept@10. If many
    methods lie close together, a panel below enlarges that part of the plane.
    """
    planes: list[Plane] = [
        (
            "what the image adds to the target's score (standard deviations)",
            "what the text adds",
            lambda cell: (cell.balance or {}).get("image_contribution"),
            lambda cell: (cell.balance or {}).get("text_contribution"),
            True,
        )
    ]
    if any("kept@10" in (cell.metrics or {}) for cell in results.cells):
        planes.append(
            (
                "kept@10: results that keep the rest of the reference (percent)",
                "changed@10: results that show what was asked",
                lambda cell: (cell.metrics or {}).get("kept@10"),
                lambda cell: (cell.metrics or {}).get("changed@10"),
                False,
            )
        )
    placed = [_placed(results.cells, plane) for plane in planes]
    clusters = [_cluster(points) for points in placed]
    rows = 2 if any(clusters) else 1
    size = (0.6 + 6.2 * len(planes), 0.4 + 6.0 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, len(planes), squeeze=False)
    for column, plane in enumerate(planes):
        _draw_plane(panels[0, column], placed[column], clusters[column], plane)
        if clusters[column]:
            _draw_cluster(panels[1, column], clusters[column], plane)
        elif rows == 2:
            panels[1, column].set_axis_off()
    panels[0, 0].legend(
        handles=_legend([cell for cell in results.cells if cell.balance]),
        loc="best",
        frameon=False,
        fontsize=8,
    )
    figure.suptitle(
        f"{results.name}: further right follows the image, further up the text", fontsize=10
    )
    return figure


def _placed(cells: Sequence[CellResult], plane: Plane) -> list[Placed]:
    _, _, right, up, _ = plane
    return [Placed(cell, x, y) for cell in cells if (x := right(cell)) and (y := up(cell))]


def _cluster(points: Sequence[Placed]) -> list[Placed]:
    """Return the cells around the one with the most neighbours, if there are enough of them."""
    if not points:
        return []
    across = _neighbours([point.x.value for point in points])
    upward = _neighbours([point.y.value for point in points])
    around = [
        [x and y for x, y in zip(*rows, strict=True)] for rows in zip(across, upward, strict=True)
    ]
    near = [point for point, is_near in zip(points, max(around, key=sum), strict=True) if is_near]
    return near if _MIN_CLUSTER <= len(near) < len(points) else []


def _neighbours(values: Sequence[float]) -> list[list[bool]]:
    """Return for each value which values lie close to it, relative to their range."""
    reach = _CLUSTER_SHARE * (max(values) - min(values))
    return [[abs(value - other) <= reach for other in values] for value in values]


def _draw_plane(
    panel: Axes, points: Sequence[Placed], cluster: Sequence[Placed], plane: Plane
) -> None:
    across, upward, _, _, sums = plane
    for point in points:
        _point(panel, *point)
    # By the points alone, so that one wide interval does not squeeze all of them.
    left, right, low, high = _bounds(points)
    panel.set_xlim(left, right + _FOR_NAMES * (right - left))
    panel.set_ylim(low, high)
    alone = [point for point in points if point not in cluster]
    names = [(point.cell.title, point.x.value, point.y.value) for point in alone]
    if cluster:
        left, right, low, high = _bounds(cluster)
        frame = Rectangle((left, low), right - left, high - low, fill=False, color=_GREY, zorder=2)
        panel.add_patch(frame)
        names.append((f"{len(cluster)} methods, below", right, high))
    _name(panel, names)
    _finish(panel, across, upward)
    if sums:
        _draw_totals(panel)


def _draw_cluster(panel: Axes, cluster: Sequence[Placed], plane: Plane) -> None:
    """Draw the part of a plane with a cluster of cells, their names in a column."""
    across, upward, _, _, _ = plane
    for point in cluster:
        _point(panel, *point)
    left, right, low, high = _bounds(cluster)
    column = right + 0.05 * (right - left)
    panel.set_xlim(left, right + 0.9 * (right - left))
    panel.set_ylim(low, high)
    ordered = sorted(cluster, key=lambda point: -point.y.value)
    for line, (cell, x, y) in enumerate(ordered):
        level = high - (line + 1) * (high - low) / (len(ordered) + 1)
        panel.annotate(
            cell.title,
            (x.value, y.value),
            (column, level),
            fontsize=7.5,
            va="center",
            arrowprops=_LEADER,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
            zorder=4,
        )
    _finish(panel, across, upward)


def _finish(panel: Axes, across: str, upward: str) -> None:
    panel.set_xlabel(across)
    panel.set_ylabel(upward)
    panel.grid(color="#ececec", linewidth=0.8)
    panel.set_axisbelow(True)


def _bounds(points: Sequence[Placed]) -> tuple[float, float, float, float]:
    """Return left, right, low and high with a margin around the points."""
    across = _around([point.x.value for point in points])
    return (*across, *_around([point.y.value for point in points]))


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis with a margin around values."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    room = 0.2 * (high - low) or 1.0
    return low - room, high + room


def _draw_totals(panel: Axes) -> None:
    """Draw lines of equal sums, along which methods differ in balance only."""
    left, right = panel.get_xlim()
    low, high = panel.get_ylim()
    for total in range(-10, 21):
        panel.plot(
            [left, right],
            [total / 2 - left, total / 2 - right],
            color="#cfcfcf",
            linewidth=0.7,
            linestyle="--",
            zorder=0,
        )
    panel.set_xlim(left, right)
    panel.set_ylim(low, high)


def _point(panel: Axes, cell: CellResult, x: Mean, y: Mean) -> None:
    panel.errorbar(
        [x.value],
        [y.value],
        xerr=_errors(x),
        yerr=_errors(y),
        fmt=_MARKERS[cell.group],
        color=_COLOURS[cell.group],
        markersize=_SIZES[cell.group],
        elinewidth=1.1,
        capsize=2,
        zorder=3,
    )


def _errors(mean: Mean) -> list[list[float]] | None:
    if mean.low is None or mean.high is None:
        return None
    return [[mean.value - mean.low], [mean.high - mean.value]]


def _name(panel: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each name beside its point; names of close points are stacked.

    Names keep the vertical order of their points, so that lines do not cross.
    """
    panel.figure.draw_without_rendering()  # type: ignore[union-attr]
    low, high = panel.get_ylim()
    step = (high - low) / 34
    left, right = panel.get_xlim()
    near = (right - left) / 4.5
    placed: list[tuple[float, float]] = []
    for title, x, y in sorted(points, key=lambda point: -point[2]):
        beside = [level for other, level in placed if abs(other - x) < near]
        level = min([y, *(one - step for one in beside if one - step < y + step)])
        placed.append((x, level))
        panel.annotate(
            title,
            (x, y),
            (x + (right - left) / 60, level),
            fontsize=7.5,
            va="center",
            arrowprops=_LEADER,
            zorder=4,
        )


def _legend(cells: Sequence[CellResult]) -> list[Line2D]:
    groups = dict.fromkeys(cell.group for cell in cells)
    return [
        Line2D(
            [], [], marker=_MARKERS[group], color=_COLOURS[group], linestyle="", label=GROUPS[group]
        )
        for group in groups
    ]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Neither version nor date: equal results make equal files.
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
