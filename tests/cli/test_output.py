"""What is printed: in any encoding, as JSON alone, and as commands that work when pasted."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from shutil import copyfile

import pytest
import typer

import tmcir.cli
from tests.commands import run
from tests.gallery.fake import FakeModel, draw_photos
from tmcir.cli import gallery as gallery_commands
from tmcir.cli.commands import Command, ResumableCommand
from tmcir.cli.output import program, runnable

NAMES = ("\U0001f457.png", "gr\u00f6\u00dfe\u00a05.png", "a\u202egnp.png")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of photos with unusual names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tmcir.gallery.model.load", lambda source, runtime: FakeModel())
    draw_photos(tmp_path / "photos")
    for name in NAMES:
        copyfile(tmp_path / "photos" / "001.png", tmp_path / "photos" / name)
    assert run("index", "shop", "photos", "--model", "fake") == 0
    return tmp_path


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("as_json", [False, True], ids=["lines", "json"])
def test_a_name_beyond_the_encoding_is_printed_all_the_same(
    shop: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, as_json: bool
) -> None:
    buffer = io.BytesIO()
    stdout = io.TextIOWrapper(buffer, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    search = ("search", "shop", "--item", "001.png", "-k", "4")
    assert run(*search, *(["--json"] if as_json else [])) == 0
    stdout.flush()
    printed = buffer.getvalue()
    if as_json:
        assert {hit["id"] for hit in json.loads(printed)} == {"001.png", *NAMES}
    else:
        assert len(printed.splitlines()) == 4 and b"a\\u202egnp.png" in printed


def test_letters_are_printed_as_they_are(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("search", "shop", "--item", NAMES[1], "-k", "4") == 0
    assert NAMES[1] in capsys.readouterr().out


def test_remove_names_ids_that_are_not_there(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("gallery", "remove", "shop", "nope", "001.png") == 1
    out, err = capsys.readouterr()
    assert out == "shop: 1 of 2 removed, 22 photos left\n"
    assert err == "no photo 'nope'\n"
    assert run("gallery", "remove", "shop", NAMES[1], "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": 1, "missing": [], "photos": 21}


def test_a_search_that_nothing_fits_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("search", "shop", "--text", "x", "--where", "id = 'none'") == 0
    assert capsys.readouterr() == ("", "no photo fits\n")


def test_index_prints_json_alone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "photos" / "bad.jpg").write_bytes(b"no image")
    capsys.readouterr()
    assert run("index", "shop", "photos", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["photos"], report["added"], report["unchanged"]) == (23, 0, 23)
    assert report["skipped"][0][0] == "bad.jpg"


def test_train_prints_json_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import tmcir.training

    def train(recipe: object, *hooks: object) -> Path:
        typer.echo("fuse  step 1/1")  # as a stage does
        return tmp_path

    monkeypatch.setattr(tmcir.training, "train", train)
    assert run("train", "quickstart", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"recipe": "quickstart", "model": str(tmp_path)}
    assert err == "fuse  step 1/1\n"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("index shop photos", "stopped; the same command resumes\n"),
        ("gallery info shop", "stopped\n"),
    ],
)
def test_ctrl_c_says_whether_the_command_resumes(
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    line: str,
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery_commands, "open_gallery", interrupt)
    capsys.readouterr()
    assert run(*command.split()) == 130
    assert capsys.readouterr() == ("", line)


def test_long_runs_are_those_that_resume() -> None:
    from typer.main import get_command

    from tmcir.cli import app

    commands = get_command(app).commands
    resumable = {name for name, one in commands.items() if isinstance(one, ResumableCommand)}
    assert resumable == {
        "quickstart",
        "index",
        "train",
        "generate",
        "train-editor",
        "benchmark",
        "tune",
    }
    plain = [one for one in commands.values() if not hasattr(one, "commands")]
    assert all(isinstance(one, Command) for one in plain)


def make_program(folder: Path) -> Path:
    path = folder / ".venv" / "bin" / "tmcir"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_commands_are_written_as_they_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_program(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", [str(path)])
    assert program() == ".venv/bin/tmcir"
    assert runnable("use `tmcir submit`, or `tmcir`") == (
        "use `.venv/bin/tmcir submit`, or `.venv/bin/tmcir`"
    )
    assert runnable("`tmcir.load` of tmcir") == "`tmcir.load` of tmcir"
    monkeypatch.setenv("PATH", str(path.parent))
    assert program() == "tmcir"
    monkeypatch.setenv("PATH", "")
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path / "a b")
    assert program() == str(path)


def test_pip_is_that_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_program(tmp_path)
    (path.parent / "pip").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(path.parent / "python"))
    assert runnable("`pip install x` installs it") == "`.venv/bin/pip install x` installs it"


def test_an_error_is_printed_with_a_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_program(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", [str(path), "gallery", "info", "none"])
    with pytest.raises(SystemExit):
        tmcir.cli.main()
    assert "make one with `.venv/bin/tmcir index none PHOTOS`" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [str(path), "index", "--help"])
    with pytest.raises(SystemExit):
        tmcir.cli.main()
    out = capsys.readouterr().out
    assert (
        out.startswith("Usage: .venv/bin/tmcir index") and "    .venv/bin/tmcir index shop" in out
    )
