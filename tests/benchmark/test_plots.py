"""Methods that lie too close together for their names to be read are shown in a larger panel."""

from tmcir.benchmark.plots import Placed, _cluster
from tmcir.benchmark.results import CellResult
from tmcir.benchmark.statistics import Mean


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
