"""Results of a benchmark with a finished cell, one with a missing seed, and one without any."""

from __future__ import annotations

from tmcir.benchmark.results import CellResult, Results
from tmcir.benchmark.statistics import Comparison, Mean
from tmcir.benchmark.timing import ComposeTime

RESULTS = Results(
    name="trial",
    dataset="products",
    split="test",
    protocol="fashion200k",
    headline="R@10",
    queries=2000,
    gallery=1845,
    seeds=(0, 1),
    compared_with="tmcir",
    compared_by=("R@10",),
    cells=(
        CellResult(
            name="tirg",
            title="TIRG",
            group="baseline",
            method="tirg",
            seeds=(0,),
            missing={1: "the disk\nis | full"},
            metrics={
                "R@1": Mean(10.0, None, None, (10.0,)),
                "R@10": Mean(50.0, None, None, (50.0,)),
            },
            comparisons={"R@10": Comparison(-2.5, -4.0, -1.0, "worse")},
            balance={"image_contribution": Mean(0.5, None, None, (0.5,))},
            trained=1000,
            weights=5000,
            train_seconds=90.0,
            compose=ComposeTime(0.25, 0.0125),
        ),
        CellResult(name="gone", title="gone", group="ablation", missing={0: "no", 1: "no"}),
        CellResult(
            name="tmcir",
            title="TMCIR",
            group="method",
            method="tmcir",
            seeds=(0, 1),
            metrics={
                "R@1": Mean(12.0, 10.5, 13.5, (11.0, 13.0)),
                "R@10": Mean(52.5, 51.0, 54.0, (52.0, 53.0)),
            },
            comparisons={},
            balance={
                "image_contribution": Mean(0.75, 0.5, 1.0, (0.5, 1.0)),
                "text_contribution": Mean(0.25, 0.0, 0.5, (0.0, 0.5)),
            },
            trained=5000,
            weights=5000,
            train_seconds=600.0,
            compose=ComposeTime(1.0, 0.5),
        ),
    ),
)
