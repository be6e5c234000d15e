"""Examples in docstrings run: what follows `>>>`, and blocks of code after "Example:"."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

import tmcir
from tests.docs.pages import ROOT

pytestmark = pytest.mark.slow

SOURCE = ROOT / "src"
#: Names that examples use without importing them.
NAMES: dict[str, Any] = {
    "Field": Field,
    "functional": functional,
    "nn": nn,
    "tmcir": tmcir,
    "torch": torch,
}
_BLOCK = re.compile(r"Example::?\n\n((?: {4,}.*\n|\n)+)")


def docstrings(path: Path) -> list[str]:
    """Return every docstring of a module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def blocks(docstring: str) -> list[str]:
    """Return the blocks of code that follow "Example:" after an empty line."""
    return [textwrap.dedent(code) for code in _BLOCK.findall(f"{docstring}\n")]


def modules() -> list[Path]:
    """Return every module outside of the command line, whose examples are commands."""
    paths = sorted((SOURCE / "tmcir").rglob("*.py"))
    return [path for path in paths if path.parent.name != "cli"]


def imported(path: Path) -> ModuleType:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return import_module(name.removesuffix(".__init__"))


@pytest.mark.slow
def test_examples_of_the_interpreter_print_what_they_say(world: Path) -> None:
    tried = 0
    for path in modules():
        if any(">>> " in text for text in docstrings(path)):
            module = imported(path)
            result = doctest.testmod(module, extraglobs=NAMES)
            assert result.failed == 0, path
            tried += result.attempted
    assert tried >= 3


@pytest.mark.slow
def test_blocks_of_code_run(world: Path) -> None:
    tried = 0
    for path in modules():
        for code in [code for text in docstrings(path) for code in blocks(text)]:
            names = {**NAMES, **dict(inspect.getmembers(imported(path)))}
            exec(compile(code, str(path), "exec"), names)
            tried += 1
    assert tried >= 2


def test_blocks_are_found() -> None:
    text = "What it does.\n\nExample:\n\n    a = 1\n\n    b = 2\n\nArgs:\n    x: One."
    assert [code.split() for code in blocks(text)] == [["a", "=", "1", "b", "=", "2"]]
