"""Hooks of mkdocs: pages that are written from the code while the site is built.

Home, contributing and changes are files of the repository's root. The list of source files comes
from module docstrings, the pages of recipes and examples from the files themselves. None of these
pages is kept.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "src" / "tmcir" / "recipes"
#: Pages of the site that are files of the repository's root.
ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
_ROOMS = ("src/tmcir", "measurements", "examples")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the written pages to those of the folder."""
    pages = {page: root_page(name) for page, name in ROOT_PAGES.items()}
    pages["index.md"] = f"---\nhide: [navigation]\n---\n\n{pages['index.md']}"
    pages |= {
        "files.md": file_list(ROOT),
        "recipes.md": recipe_page(RECIPES),
        "examples.md": example_page(ROOT / "examples"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def root_page(name: str) -> str:
    """Return a Markdown file of the root with its links seen from ``docs/``."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for page, source in ROOT_PAGES.items():
        text = text.replace(f"]({source}", f"]({page}")
    text = re.sub(r"\]\(examples/(\w+)\.py\)", r"](examples.md#\1)", text)
    return re.sub(r"\[([^\]]+)\]\((LICENSE|NOTICE)\)", r"\1", text)  # not on the site


def file_list(root: Path) -> str:
    """Return the page of all modules, each with the first sentence of its docstring."""
    parts = [
        "# Source files\n",
        "Every module and what it is for: the first line of its docstring.\n",
    ]
    for room in _ROOMS:
        modules = sorted((root / room).rglob("*.py"), key=lambda path: (path.parent, path.name))
        for folder in dict.fromkeys(path.parent for path in modules):
            parts.append(f"## {folder.relative_to(root).as_posix()}\n")
            parts.append("| file | what it is for |\n| --- | --- |")
            parts += [
                f"| `{path.name}` | {_summary(path)} |"
                for path in modules
                if path.parent == folder and _summary(path)
            ]
            parts.append("")
    return "\n".join(parts)


def recipe_page(folder: Path) -> str:
    """Return the page of all shipped recipes, each with its text."""
    parts = [
        "# Shipped recipes\n",
        "`tmcir recipes` lists them. Every setting is explained in"
        " [recipe settings](recipe-settings.md).\n",
    ]
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
        command = content.get("command", "train")
        parts.append(f"## {path.stem}\n")
        parts.append(f"`tmcir {command} {path.stem}`: {content.get('description', '')}.\n")
        parts.append(f"```yaml\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def example_page(folder: Path) -> str:
    """Return the page of all example scripts, each with its text."""
    parts = ["# Example scripts\n", "Each runs as it is, in a clone of the repository.\n"]
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = path.stem.replace("_", " ").capitalize()
        parts.append(f"## {title} {{#{path.stem}}}\n\n{_summary(path)}\n")
        parts.append(f'```python title="examples/{path.name}"\n{text.rstrip()}\n```\n')
    return "\n".join(parts)


def _summary(path: Path) -> str:
    """Return the first paragraph of a module's docstring on one line, as a table cell."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).replace("|", "\\|")
