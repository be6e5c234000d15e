"""Every command and every Python example of the pages works as pasted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.commands import run
from tests.docs.pages import DOCS, ROOT, Block, blocks, commands, pages
from tmcir.benchmark import BenchmarkRecipe
from tmcir.benchmark.plan import plan
from tmcir.core.shipped import MODEL_INDEX, shipped_folder
from tmcir.generation import EditorRecipe, GenerateRecipe, GenerateReport, generate
from tmcir.runtime.export import ExportReport
from tmcir.training import Recipe, check_run
from tmcir.training.recipe import StageSettings

MINI = shipped_folder("mini", MODEL_INDEX) or Path()
#: What is not ours to run: it changes the machine, or needs a server.
NOT_RUN = {"make", "pip", "python3", "docker", "sudo", "journalctl", "git", "accelerate", "ray"}
SHELL = {"mkdir", "cp", "rm", "mv", "head", "cat", "ls", "curl", "export"}
#: What would take minutes: its arguments and data are checked, and the work itself is skipped.
LONG = {"train", "train-editor", "generate", "benchmark", "quickstart"}
#: Pages whose training is short enough to be run in a test, with what makes it shorter still.
_SHORTER = ["stages.fuse.epochs=1", "stages.fuse.batch_size=8"]
TRAINED = {"own-triplets.md": _SHORTER, "own-composer.md": _SHORTER}
#: Pages that begin before the catalogue is there.
FIRST = {"README.md", "quickstart.md", "own-catalogue.md"}
#: Pages that continue where another ends: its files are there, and its scripts have run.
AFTER = {"own-composer.md": "own-triplets.md", "benchmark.md": "own-triplets.md"}
#: Reasons why a block may not be run.
REASONS = {
    "needs a Milvus server",
    "needs the network",
    "needs the table of a benchmark",
    "trains for minutes",
    "needs the tuned model",
    "needs a service with an admin key",
}


class Reader:
    """Somebody who pastes a page's blocks one after the other.

    Args:
        page: The page's name.
        monkeypatch: Keeps what a page exports.
    """

    def __init__(self, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page = page
        self.ran = 0
        self._monkeypatch = monkeypatch
        self._names: dict[str, Any] = {"__name__": "__page__"}
        self._server: subprocess.Popen[bytes] | None = None
        self._port = 0

    def close(self) -> None:
        """Stop the server that the page has started."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)
            self._server = None

    def read(self, block: Block) -> None:
        """Run or save a block."""
        if block.reason is not None:
            assert block.reason in REASONS, f"{self.page}:{block.line}: {block.reason}"
        elif block.language == "bash":
            for command in commands(block.text):
                self._command(command)
        elif block.title is not None:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile(block.text, f"{self.page}:{block.line}", "exec")
            exec(code, self._names)
            self.ran += 1

    def follow(self, block: Block) -> None:
        """Save the files of an earlier page, and run its scripts, but none of its commands."""
        if block.title is not None:
            self.read(block)
        for command in commands(block.text) if block.language == "bash" else []:
            if command.startswith("python "):
                self._command(command)

    def _command(self, command: str) -> None:
        words = shlex.split(command.replace("\\\n", " "), comments=True)
        while re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # settings of the environment
            words = words[1:]
        program = words[0]
        if program == "python":
            self._python(words[1:])
        elif program == "tmcir":
            self._tmcir(words[1:])
        elif program in SHELL:
            self._shell(command)
        else:
            assert program in NOT_RUN or program == ".", f"{self.page}: {command}"

    def _tmcir(self, words: list[str]) -> None:
        self.ran += 1
        if ">" in words:  # what is printed goes into a file
            words = words[: words.index(">")]
        if words[0] == "serve":
            self._serve(words)
            return
        if words[0] in LONG:
            words += TRAINED.get(self.page, [])
        assert run(*words) == 0, f"{self.page}: tmcir {shlex.join(words)}"

    def _python(self, words: list[str]) -> None:
        if words[0].startswith("measurements/"):  # they take minutes, and need the real photos
            assert (ROOT / words[0]).is_file(), words[0]
            return
        script = ROOT / words[0] if words[0].startswith("examples/") else words[0]
        subprocess.run([sys.executable, script, *words[1:]], check=True, env=_environment())
        self.ran += 1

    def _shell(self, command: str) -> None:
        if self._server is not None:
            command = re.sub(r"(localhost|127\.0\.0\.1):\d+", rf"\1:{self._port}", command)
            command = re.sub(r"^curl", "curl --fail-with-body --silent --show-error", command)
        printed = subprocess.run(
            ["bash", "-ec", f"{command}\necho; env -0"], check=True, capture_output=True
        ).stdout
        if command.startswith("export "):
            name = command.split()[1].partition("=")[0]
            for entry in printed.rpartition(b"\n")[2].split(b"\0"):
                if entry.startswith(f"{name}=".encode()):
                    self._monkeypatch.setenv(name, entry.decode().partition("=")[2])

    def _serve(self, words: list[str]) -> None:
        """Start the service beside the page, on a port that is free."""
        self.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [sys.executable, "-m", "tmcir", *words, "--port", str(self._port)]
        log = Path("server.log")
        with log.open("wb") as file:
            self._server = subprocess.Popen(command, env=_environment(), stderr=file)
        deadline = time.monotonic() + 600  # a shared machine may stand still
        while time.monotonic() < deadline:
            assert self._server.poll() is None, log.read_text(encoding="utf-8")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"{self.page}: {shlex.join(words)} does not answer")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def reader(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, world: Path
) -> Iterator[Reader]:
    page: Path = request.param
    if page.name in FIRST:
        shutil.rmtree("photos")
        shutil.rmtree("shop")
        Path("garments.csv").unlink()
        if page.name != "quickstart.md":  # what quickstart.md tells a reader to do
            shutil.copytree("runs/quickstart/catalogue/images", "photos")
            shutil.copy("runs/quickstart/garments.csv", "garments.csv")
    if page.name not in TRAINED:
        _leave_out_the_work(monkeypatch)
    found = Reader(page.name, monkeypatch)
    for block in blocks((DOCS / AFTER[page.name]).read_text("utf-8") if page.name in AFTER else ""):
        found.follow(block)
    yield found
    found.close()


def _small(recipe: Recipe) -> Recipe:
    """Return a recipe with batches that the small datasets of these tests can fill."""
    listed = recipe.stages
    stages = {
        name: stage.model_copy(update={"batch_size": 2})
        for name in type(listed).model_fields
        if isinstance(stage := getattr(listed, name), StageSettings)
    }
    return recipe.model_copy(update={"stages": listed.model_copy(update=stages)})


def _leave_out_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what takes minutes by its checks and by what it leaves."""

    def train(recipe: Recipe, *others: object, **more: object) -> Path:
        check_run(_small(recipe))
        model = recipe.folder / "model"
        shutil.copytree(MINI, model, dirs_exist_ok=True)
        return model

    def train_editor(recipe: EditorRecipe) -> Path:
        recipe.dataset.open("train")
        return recipe.folder / "editor"

    def some(recipe: GenerateRecipe, *others: object, **more: object) -> GenerateReport:
        return generate(recipe, limit=8)

    def plan_only(
        recipe: BenchmarkRecipe, cells: Sequence[str], seeds: Sequence[int], *_: Any
    ) -> None:
        chosen = recipe.choose(cells) if cells else recipe.cells
        for job in plan(recipe, chosen, tuple(seeds) or recipe.seeds, recipe.folder):
            job.open_dataset()
        raise typer.Exit

    def nothing(*_: Any) -> None:
        raise typer.Exit

    def export(source: str, target: Path) -> ExportReport:
        shutil.copytree(MINI, target, dirs_exist_ok=True)
        return ExportReport(str(target), 0, 0.0)

    monkeypatch.setattr("tmcir.runtime.export.export", export)
    monkeypatch.setattr("tmcir.training.train", train)
    monkeypatch.setattr("tmcir.generation.train_editor", train_editor)
    monkeypatch.setattr("tmcir.generation.generate", some)
    monkeypatch.setattr("tmcir.benchmark.run_benchmark", plan_only)
    monkeypatch.setattr("tmcir.quickstart.quickstart", nothing)


@pytest.mark.slow
@pytest.mark.parametrize("reader", pages(), indirect=True, ids=lambda path: path.name)
def test_the_blocks_of_a_page_work_as_pasted(
    reader: Reader, request: pytest.FixtureRequest
) -> None:
    page = request.node.callspec.params["reader"]
    for block in blocks(page.read_text(encoding="utf-8")):
        reader.read(block)


@pytest.mark.slow
@pytest.mark.parametrize("reader", [DOCS / "command-line.md"], indirect=True, ids=["help"])
def test_the_examples_of_the_help_work(reader: Reader) -> None:
    examples = re.findall(r"^    (tmcir .+)$", (DOCS / "command-line.md").read_text("utf-8"), re.M)
    assert len(examples) >= 18
    # tuning takes minutes, and more photos than are drawn here; tests/tuning runs it
    examples = [example for example in examples if not example.startswith("tmcir tune")]
    # first what must not find `shop` changed by another
    for example in sorted(examples, key=lambda line: "gallery remove" in line):
        reader.read(Block("bash", f"{example}\n", None, None, 0))


def test_commands_are_read_as_a_shell_would() -> None:
    text = "tmcir a \\\n  b  # it's\n\n# a comment\ncurl x -d '\n  {\"y\": 1}'\n"
    assert commands(text) == ["tmcir a \\\n  b  # it's", "curl x -d '\n  {\"y\": 1}'"]
    with pytest.raises(ValueError, match="not complete"):
        commands("echo 'a\n")


def test_blocks_are_found_with_their_title_and_reason() -> None:
    page = 'x\n```yaml title="a.yaml"\na: 1\n```\n\n    ```bash\n    ls\n    ```\n'
    page += "<!-- not run: because -->\n```bash\nls\n```\n"
    first, second, third = blocks(page)
    assert (first.language, first.title, first.text, first.line) == ("yaml", "a.yaml", "a: 1\n", 2)
    assert (second.text, second.reason) == ("ls\n", None)
    assert third.reason == "because"


def test_every_block_of_data_can_be_parsed() -> None:
    for page in pages():
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "yaml":
                assert yaml.safe_load(block.text) is not None, f"{page.name}:{block.line}"
