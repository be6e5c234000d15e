"""What does stage align on pseudo-targets bring? The same fuse stage after each kind of alignment.

Every cell trains the recipe fashion-products-pseudo with other pairs in stage align, evaluates on
the test split, and keeps its report: a run that was stopped goes on with the cells that are left.

    python benchmarks/alignment.py --root P --seeds 0 1 2
    python benchmarks/alignment.py --root P --seeds 0 1 2 --cells "pseudo-targets, symmetric"

The table gives the mean over the seeds, their deviation, and the mean difference to no alignment
with a 95 % interval by Student's t over the paired seeds.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from statistics import mean, stdev

from tmcir import evaluate, load
from tmcir.data.datasets import open_dataset
from tmcir.evaluation import Report
from tmcir.training import load_recipe, train

RECIPE = "fashion-products-pseudo"
BASELINE = "no alignment"
METRICS = ("R@1", "R@10", "R@50")
_ALIGN = "stages.align."
CELLS: dict[str, list[str]] = {
    BASELINE: ["stages.align=null"],
    "real targets": [f"{_ALIGN}pairs=targets"],
    "unedited references": [f"{_ALIGN}pairs=references"],
    "pseudo-targets": [],
    # What was tried to make more of them.
    "pseudo-targets, symmetric": [f"{_ALIGN}symmetric=true"],
    "pseudo-targets and captions": [f"{_ALIGN}symmetric=true", f"{_ALIGN}caption_share=0.5"],
    "pseudo-targets, low rate": [f"{_ALIGN}learning_rate=5.0e-5"],
    "captions alone": [
        f"{_ALIGN}pairs=captions",
        f"{_ALIGN}pseudo_targets=null",
        f"{_ALIGN}symmetric=true",
    ],
}
# Two-sided 95 % quantiles of Student's t, by degrees of freedom.
_STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def run_cell(arguments: argparse.Namespace, cell: str, seed: int) -> Report:
    """Train and evaluate a cell, or read its report where that is there."""
    folder = arguments.output / re.sub(r"[^a-z]+", "-", cell) / str(seed)
    file = folder / "report.json"
    if file.exists():
        return Report.load(file)
    settings = [f"dataset.root={arguments.root}", f"output={folder}", f"seed={seed}"]
    if cell not in (BASELINE, "captions alone"):
        settings.append(f"{_ALIGN}pseudo_targets={arguments.pseudo_targets}")
    recipe = load_recipe(RECIPE, [*settings, *CELLS[cell], *arguments.settings])
    model = load(str(train(recipe)))
    report = evaluate(model, open_dataset("fashion-products", arguments.root, "test"))
    report.save(file)
    return report


def line(cell: str, reports: list[Report], baseline: list[Report]) -> str:
    """Return a cell's row of the table."""
    columns = []
    for metric in METRICS:
        values = [report.overall.metrics[metric].value for report in reports]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        columns.append(f"{mean(values):.2f}{spread}")
    for metric in METRICS:
        columns.append(difference(metric, reports, baseline))
    return f"| {cell} | {' | '.join(columns)} |"


def difference(metric: str, reports: list[Report], baseline: list[Report]) -> str:
    """Return the mean difference to the baseline over paired seeds, with its interval."""
    pairs = list(zip(reports, baseline, strict=False))
    if reports is baseline or len(pairs) < 2:
        return ""
    gaps = [
        one.overall.metrics[metric].value - other.overall.metrics[metric].value
        for one, other in pairs
    ]
    half = _STUDENT[min(len(gaps) - 1, 4)] * stdev(gaps) / len(gaps) ** 0.5
    return f"{mean(gaps):+.2f} [{mean(gaps) - half:+.2f}, {mean(gaps) + half:+.2f}]"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the product photos")
    parser.add_argument(
        "--pseudo-targets", type=Path, default=Path("runs/fashion-products-pseudo-targets")
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS)[:4])
    parser.add_argument("--output", type=Path, default=Path("runs/alignment"))
    parser.add_argument("settings", nargs="*", help="further settings of all cells, key=value")
    arguments = parser.parse_args()
    found: dict[str, list[Report]] = {}
    for seed in arguments.seeds:  # seed by seed: whatever it is stopped at, the cells compare
        for cell in dict.fromkeys([BASELINE, *arguments.cells]):
            found.setdefault(cell, []).append(run_cell(arguments, cell, seed))
    titles = [*METRICS, *(f"{metric} gained" for metric in METRICS)]
    print(f"| stage align on | {' | '.join(titles)} |")
    print("| --- " * (len(titles) + 1) + "|")
    for cell, reports in found.items():
        print(line(cell, reports, found[BASELINE]))


if __name__ == "__main__":
    main()
