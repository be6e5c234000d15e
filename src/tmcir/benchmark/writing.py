"""Writing the results of a benchmark: a JSON file, a table and two plots."""

from __future__ import annotations

from pathlib import Path

from tmcir.benchmark.plots import draw_balance, draw_results
from tmcir.benchmark.results import Results
from tmcir.benchmark.table import table
from tmcir.core.files import write_bytes, write_json, write_text

JSON_FILE, TABLE_FILE = "results.json", "results.md"
RESULTS_PLOT, BALANCE_PLOT = "results.png", "balance.png"


def save_results(results: Results, folder: Path) -> None:
    """Write JSON file, table and plots into a folder, each completely or not at all.

    Raises:
        TMCIRError: A file cannot be written.
    """
    write_json(folder / JSON_FILE, results.as_dict())
    write_text(folder / TABLE_FILE, table(results))
    if any(cell.seeds for cell in results.cells):
        write_bytes(folder / RESULTS_PLOT, draw_results(results))
        write_bytes(folder / BALANCE_PLOT, draw_balance(results))
