"""The rooms of the package: imports run downward, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import tmcir

SOURCE = Path(tmcir.__file__).parent
# From the ground up: a room imports itself and the floors below, never another room of its floor.
FLOORS = (
    ("core",),
    ("runs",),
    ("data",),
    ("rendered",),
    ("models",),
    ("runtime",),
    ("generation", "training", "evaluation", "gallery"),
    ("benchmark", "quickstart", "service", "tuning"),
    ("cli",),
)


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in SOURCE.rglob("*.py")}


def imports(name: str, with_types: bool = True) -> set[str]:
    """The modules of the package that a module imports, within functions and for types, too."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    if not with_types:
        blocks = [one for one in nodes if isinstance(one, ast.If) and is_for_types(one)]
        typed = {inner for block in blocks for part in block.body for inner in ast.walk(part)}
        nodes = [one for one in nodes if one not in typed]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {one if one in MODULES else node.module for one in names}
    return {one for one in found if one in MODULES and one != name}


def is_for_types(block: ast.If) -> bool:
    return isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"


IMPORTS = {name: imports(name) for name in MODULES}


def room(name: str) -> str:
    return [*name.split("."), ""][1]


def test_every_room_is_on_a_floor() -> None:
    rooms = {room(name) for name in MODULES} - {"", "recipes", "weights", "__main__"}
    assert rooms <= {one for floor in FLOORS for one in floor}


def test_imports_run_downward() -> None:
    floor_of = {name: level for level, floor in enumerate(FLOORS) for name in floor}
    upward = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if room(name) in floor_of
        and room(other) in floor_of
        and room(name) != room(other)
        and floor_of[room(other)] >= floor_of[room(name)]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles({name: imports(name, with_types=False) for name in MODULES}) == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that all reach each other, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"d", "e"}}
    assert circles(graph) == [["a", "b", "c"]]


def test_searching_and_serving_need_neither_training_nor_generation() -> None:
    needed: defaultdict[str, set[str]] = defaultdict(set)
    for start in ("tmcir.gallery", "tmcir.service", "tmcir.models"):
        waiting = [start]
        while waiting:
            name = waiting.pop()
            for other in IMPORTS[name] - needed[start] - {"tmcir"}:
                needed[start].add(other)
                waiting.append(other)
        rooms = {room(name) for name in needed[start]}
        assert rooms.isdisjoint({"training", "generation", "evaluation", "benchmark", "cli"})
