"""The commands `data check`, `evaluate` and `submit`, from arguments to output and exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.layouts import draw, write_cirr, write_fashion_iq
from tests.tiny import build_model, draw_catalogue
from tmcir.cli import main
from tmcir.data.fashion_products import FashionProducts
from tmcir.evaluation import Report

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tmcir", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
            sys.exit(0)
        output = capsys.readouterr()
        return int(caught.value.code or 0), output.out, output.err

    return run


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalogue(tmp_path_factory.mktemp("catalogue") / "products")


@pytest.fixture(scope="module")
def model(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    build_model(FashionProducts(catalogue)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("command", [("data", "check"), ("evaluate",), ("submit",)])
def test_help_has_an_example(run: Run, command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert f"tmcir {' '.join(command)}" in out
    assert "Example:" in out


def test_data_check_prints_counts_and_exits_with_1_for_a_broken_file(
    run: Run, tmp_path: Path
) -> None:
    write_fashion_iq(tmp_path)
    command = ("data", "check", "fashion-iq", "--root", tmp_path, "--categories", "dress")
    code, out, _ = run(*command)
    assert (code, "none of the 4 named is there" in out) == (0, True)
    for name in "ABCD":
        draw(tmp_path / "images" / f"{name}.png")
    assert run(*command)[0] == 0
    (tmp_path / "images" / "B.png").write_bytes(b"")
    code, out, _ = run(*command, "--json")
    assert code == 1
    assert json.loads(out)["broken"] == {"B": "empty file"}


@pytest.mark.slow
def test_evaluate_prints_a_table_and_writes_json(
    run: Run, model: Path, catalogue: Path, tmp_path: Path
) -> None:
    command = ("evaluate", model, "--dataset", "fashion-products", "--root", catalogue)
    code, out, _ = run(*command, "--output", tmp_path / "report.json", "--method", "sum")
    assert code == 0
    assert "protocol fashion200k" in out
    report = Report.load(tmp_path / "report.json")
    assert (report.method, report.split, report.overall.gallery) == ("sum", "test", 36)
    assert str(report) in out


@pytest.mark.slow
def test_json_on_stdout_comes_alone(run: Run, model: Path, catalogue: Path) -> None:
    command = ("evaluate", model, "--dataset", "fashion-products", "--root", catalogue)
    code, out, _ = run(*command, "--split", "val", "--json")
    assert code == 0
    assert Report.from_dict(json.loads(out)).split == "val"


def test_submit_writes_both_files_of_cirr(run: Run, model: Path, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr", split="test1")
    for number in range(8):
        draw(root / "dev" / f"dev-{number}.png", colour=(30 * number, 0, 0))
    code, out, _ = run("submit", "cirr", model, "--root", root, "--out", tmp_path / "out")
    assert code == 0
    files = [Path(line) for line in out.split()]
    assert [file.name for file in files] == [
        "test1_pred_ranks_recall.json",
        "test1_pred_ranks_recall_subset.json",
    ]
    assert all(json.loads(file.read_text())["version"] == "rc2" for file in files)


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Run, model: Path, catalogue: Path, tmp_path: Path
) -> None:
    products = ("--dataset", "fashion-products", "--root", catalogue)
    mistakes = {
        ("data", "check", "fashion-i", "--root", tmp_path): "did you mean 'fashion-iq'",
        ("data", "check", "cirr", "--root", tmp_path): "no such file; --root must be the folder",
        ("evaluate", model, *products, "--protocol", "cirr"): "unknown fashion-products protocol",
        ("evaluate", model, *products, "--method", "summ"): "did you mean 'sum'",
        ("evaluate", model, *products, "--categories", "x"): "unknown fashion-products option",
        ("evaluate", tmp_path / "no", *products): "no such model directory",
        ("submit", "fashion-iq", model, "--root", tmp_path, "--out", tmp_path): "test server",
    }
    for command, message in mistakes.items():
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert message in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
