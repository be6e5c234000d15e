"""What plots show: points, intervals and names in their places; close methods are enlarged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from tests.benchmark.trial import RESULTS
from tmcir.benchmark.plots import Placed, _cluster, balance_figure, results_figure
from tmcir.benchmark.results import CellResult
from tmcir.benchmark.statistics import Mean


def drawn_points(panel: Axes) -> list[tuple[float, float]]:
    """Return the centre of each error bar."""
    found: list[Any] = [bar.lines[0] for bar in panel.containers]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in found]


def drawn_intervals(panel: Axes) -> list[list[list[list[float]]]]:
    """Return the ends of each error bar's lines, horizontal before vertical."""
    found: list[Any] = [bar.lines[2] for bar in panel.containers]
    return [[line.get_segments()[0].tolist() for line in lines] for lines in found]


def names_of_points(panel: Axes) -> dict[str, tuple[float, float]]:
    return {
        text.get_text(): (float(text.xy[0]), float(text.xy[1]))
        for text in panel.texts
        if isinstance(text, Annotation)
    }


def test_results_are_a_point_and_an_interval_a_line() -> None:
    figure = results_figure(RESULTS)
    (panel,) = figure.axes
    # TIRG, then TMCIR; the cell without results has no line.
    assert [label.get_text() for label in panel.get_yticklabels()] == ["TIRG", "TMCIR"]
    assert drawn_points(panel) == [(50.0, 0.0), (52.5, 1.0)]
    # TIRG has one seed and no interval; that of TMCIR is [51, 54].
    assert drawn_intervals(panel) == [[], [[[51.0, 1.0], [54.0, 1.0]]]]
    assert panel.get_xlabel() == "R@10, percent"
    low, high = panel.get_ylim()
    assert low > high  # the first cell is the uppermost
    (reference,) = [line for line in panel.get_lines() if line.get_linestyle() == ":"]
    assert list(reference.get_xdata()) == [52.5, 52.5]
    title = figure.get_suptitle()
    assert title == "trial: products test, 95% intervals over seeds"


def test_each_compared_figure_has_a_panel() -> None:
    first, second = results_figure(replace(RESULTS, compared_by=("R@10", "R@1"))).axes
    assert drawn_points(first) == [(50.0, 0.0), (52.5, 1.0)]
    assert drawn_points(second) == [(10.0, 0.0), (12.0, 1.0)]
    assert second.get_xlabel() == "R@1, percent"


def test_balance_is_image_across_and_text_upward() -> None:
    figure = balance_figure(RESULTS)
    (panel,) = figure.axes
    # TIRG has no contribution of the text, so it has no place on the plane.
    assert drawn_points(panel) == [(0.75, 0.25)]
    assert drawn_intervals(panel) == [[[[0.5, 0.25], [1.0, 0.25]], [[0.75, 0.0], [0.75, 0.5]]]]
    assert names_of_points(panel) == {"TMCIR": (0.75, 0.25)}
    assert panel.get_xlabel().startswith("what the image adds")
    assert panel.get_ylabel() == "what the text adds"
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["baselines", "the method"]
    # Along a dashed line the sum is the same: that of image and text.
    for line in [line for line in panel.get_lines() if line.get_linestyle() == "--"]:
        sums = [x + y for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
        assert sums[0] == pytest.approx(sums[1])


def test_judged_results_have_a_second_plane() -> None:
    *others, own = RESULTS.cells
    judged = {"kept@10": Mean(60.0, 55.0, 65.0, ()), "changed@10": Mean(30.0, 28.0, 32.0, ())}
    cells = (*others, replace(own, metrics={**(own.metrics or {}), **judged}))
    _, second = balance_figure(replace(RESULTS, cells=cells)).axes
    assert drawn_points(second) == [(60.0, 30.0)]
    assert second.get_xlabel().startswith("kept@10")
    assert second.get_ylabel().startswith("changed@10")


def points(*places: tuple[float, float]) -> list[Placed]:
    return [
        Placed(
            CellResult(str(x), str(x), "baseline"), Mean(x, None, None, ()), Mean(y, None, None, ())
        )
        for x, y in places
    ]


def test_methods_about_the_one_with_most_around_it_are_a_cluster() -> None:
    # The plane is 1.6 wide and 1.5 high: 0.2 of it is 0.32 and 0.30.
    together = points((1.10, 1.20), (1.12, 1.25), (1.15, 1.22), (1.41, 1.20), (1.12, 0.91))
    apart = points((0.0, 1.5), (1.6, 0.0), (1.12, 0.88), (0.75, 1.2))
    assert _cluster([*together, *apart]) == together


def test_the_cluster_need_not_be_in_the_middle() -> None:
    corner = points(*[(0.9 + 0.01 * number, 0.9) for number in range(6)])
    others = points(*[(0.09 * number, 0.0) for number in range(10)])
    assert _cluster([*others, *corner]) == corner


def test_few_methods_are_no_cluster() -> None:
    four = points((1.10, 1.20), (1.12, 1.25), (1.15, 1.22), (1.12, 1.19))
    assert _cluster([*four, *points((0.0, 1.5), (1.6, 0.0))]) == []


def test_where_all_are_together_no_second_panel_is_needed() -> None:
    assert _cluster(points(*[(1.0, 1.0)] * 6)) == []
    assert _cluster([]) == []
