"""The table, word by word, and the results as JSON and as pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark.trial import RESULTS
from tmcir.benchmark.plots import draw_balance, draw_results
from tmcir.benchmark.results import Results
from tmcir.benchmark.statistics import Mean
from tmcir.benchmark.table import table
from tmcir.benchmark.writing import save_results
from tmcir.core.errors import TMCIRError

TABLE = """\
# trial

products test, protocol fashion200k: 2,000 queries over 1,845 images; seeds 0, 1.

|  | R@1 | R@10 | R@10 against TMCIR | weights trained / in all | training, min | compose, ms alone / in a batch |
| --- | --- | --- | --- | --- | --- | --- |
| **baselines** |  |  |  |  |  |  |
| TIRG (1 of 2 seeds) | 10.00 | 50.00 | -2.50 [-4.0, -1.0] worse | 1,000 / 5,000 | 1.5 | 0.25 / 0.013 |
| **ablations** |  |  |  |  |  |  |
| gone | missing |  |  |  |  |  |
| **the method** |  |  |  |  |  |  |
| TMCIR | 12.00 [10.5, 13.5] | 52.50 [51.0, 54.0] | - | 5,000 / 5,000 | 10.0 | 1.00 / 0.500 |
"""  # noqa: E501

BALANCE = """\
|  | image adds | text adds |
| --- | --- | --- |
| **baselines** |  |  |
| TIRG | 0.50 | - |
| **the method** |  |  |
| TMCIR | 0.75 [0.5, 1.0] | 0.25 [0.0, 0.5] |
"""


def test_the_table_word_by_word() -> None:
    page = table(RESULTS)
    assert page.startswith(TABLE)
    assert BALANCE in page
    assert "- TIRG: missing with seed 1: the disk is | full\n" in page
    assert "- gone: missing with seed 0: no; seed 1: no\n" in page
    assert "by the bootstrap over seeds and clusters of queries" in page


def test_one_seed_is_said_to_be_one() -> None:
    page = table(replace(RESULTS, seeds=(0,)))
    assert "those of one seed" in page and "by the bootstrap over clusters of queries" in page
    assert "There is no verdict" in page


def test_kinds_of_query_have_a_table_of_their_own() -> None:
    assert "by kind" not in table(RESULTS)
    *others, own = RESULTS.cells
    kinds = {"belt": Mean(40.0, 39.0, 41.0, (39.5, 40.5)), "trim": Mean(5.0, None, None, (5.0,))}
    page = table(replace(RESULTS, cells=(*others, replace(own, kinds=kinds))))
    assert "## R@10 by kind of query\n\n|  | belt | trim |\n" in page
    assert "| TMCIR | 40.0 [39, 41] | 5.0 |" in page


def test_interventions_are_columns_where_a_method_reads_tokens() -> None:
    *others, own = RESULTS.cells
    swapped = {"patches swapped": {"R@10": Mean(40.0, None, None, (40.0,))}}
    swapped["W o = 0"] = {"R@10": Mean(51.25, None, None, (51.25,))}
    page = table(replace(RESULTS, cells=(*others, replace(own, interventions=swapped))))
    assert "| R@10, patches swapped | R@10, W o = 0 |" in page
    assert "| - | 40.00 | 51.25 | 5,000 / 5,000 |" in page
    assert "| worse | - | - | 1,000 / 5,000 |" in page.replace("-2.50 [-4.0, -1.0] ", "")


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    save_results(RESULTS, tmp_path)
    assert Results.load(tmp_path / "results.json") == RESULTS
    assert (tmp_path / "results.md").read_text() == table(RESULTS)
    assert {file.name for file in tmp_path.iterdir()} == {
        *("results.json", "results.md", "results.png", "balance.png")
    }
    assert not RESULTS.complete
    (tmp_path / "other.json").write_text('{"format": "other"}')
    with pytest.raises(TMCIRError, match=r"other.json: not the results of a benchmark"):
        Results.load(tmp_path / "other.json")


def test_pictures_are_the_same_for_the_same_results() -> None:
    for draw in (draw_results, draw_balance):
        picture = draw(RESULTS)
        assert picture.startswith(b"\x89PNG") and picture == draw(RESULTS)
