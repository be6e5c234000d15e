"""Write the generated parts of the docs: the command line's help and every recipe setting.

Usage: python docs/generate.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from tmcir.benchmark import BenchmarkRecipe
from tmcir.cli import app
from tmcir.generation.recipe import EditorRecipe, GenerateRecipe
from tmcir.models.methods import DEFAULT, composer_class, method_names
from tmcir.runs.recipes import choices
from tmcir.training.methods import MethodSettings
from tmcir.training.recipe import Recipe

DOCS = Path(__file__).parent
#: What the page calls the types of arguments and options.
_TYPES = {
    str: "text",
    int: "integer",
    float: "number",
    Path: "path",
    list[str]: "text, several",
    list[Path]: "path, several",
}
NOTE = "<!-- Written by docs/generate.py (`make docs`); change the code, not this page. -->\n"


def command_line() -> str:
    """Return the page of all commands: their help text, arguments and options."""
    group = get_command(app)
    parts = [f"{NOTE}\n# Command line\n"]
    for path, command in _commands(group, ()):
        parts.append(f"## tmcir {' '.join(path)}\n\n{_paragraphs(command.help or '')}\n")
        rows = [
            f"| `{_names(parameter)}` | {_type(parameter)} | {_default(parameter)} |"
            f" {parameter.help} |"
            for parameter in command.params
            if getattr(parameter, "help", None) and parameter.name != "help"
        ]
        if rows:
            head = "| argument or option | type | default | meaning |\n| --- | --- | --- | --- |\n"
            parts.append(head + "\n".join(rows) + "\n")
    return "\n".join(parts)


def recipe_settings() -> str:
    """Return the page of all recipe settings."""
    parts = [
        f"{NOTE}\n# Recipe settings\n",
        "A setting is changed on the command line by its dotted name:",
        "`tmcir train RECIPE stages.fuse.epochs=3`.",
    ]
    for kind in (Recipe, GenerateRecipe, EditorRecipe, BenchmarkRecipe):
        parts += [
            f"\n## tmcir {kind.model_fields['command'].default}\n",
            "| setting | default | meaning |\n| --- | --- | --- |",
            *_settings(kind, ""),
        ]
    return "\n".join(parts) + "\n"


def _commands(group: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            found += _commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


def _paragraphs(text: str) -> str:
    """Return a command's help as Markdown: what is indented there, an example, is code."""
    lines: list[str] = []
    for line in text.strip().replace("\b\n", "").splitlines():
        code = line.startswith("  ")
        if code and not lines[-1].startswith("  "):
            lines.append("")
        lines.append(f"    {line.strip()}" if code else line)
    return "\n".join(lines)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return ", ".join(parameter.opts)


def _type(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "switch"
    return _TYPES[parameter.type_descriptor.annotation]


def _default(parameter: Any) -> str:
    if parameter.required:
        return "(required)"
    if parameter.default is None or getattr(parameter, "is_flag", False):
        return ""
    return f"`{parameter.default}`"


def _settings(model: type[BaseModel], prefix: str, note: str = "") -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        groups = choices(field.annotation)
        if MethodSettings in groups:
            rows += _methods(f"{prefix}{name}.")
            continue
        for group in groups:
            chosen = f"{_only_value(group.model_fields['name'])}: " if len(groups) > 1 else ""
            rows += _settings(group, f"{prefix}{name}.", chosen)
        if not groups:
            default = "(required)" if field.default is PydanticUndefined else f"`{field.default}`"
            rows.append(f"| `{prefix}{name}` | {default} | {note}{field.description} |")
    return rows


def _methods(prefix: str) -> list[str]:
    """Return the rows of a method's name, and of the settings of every method of the package."""
    rows = [f"| `{prefix}name` | `{DEFAULT}` | {MethodSettings.model_fields['name'].description} |"]
    for name in method_names():
        rows += _settings(composer_class(name).Settings, prefix, f"{name}: ")
    return rows


def _only_value(field: FieldInfo) -> str:
    """Return the name that chooses a group among several, which its field ``name`` allows."""
    (value,) = get_args(field.annotation)
    return str(value)


def main() -> None:
    """Write the pages, or with --check see that they are up to date."""
    stale = []
    for name, text in (
        ("command-line.md", command_line()),
        ("recipe-settings.md", recipe_settings()),
    ):
        path = DOCS / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        typer.echo(f"not up to date: {', '.join(stale)}; run `make docs`", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
