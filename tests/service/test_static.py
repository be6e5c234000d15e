"""The page's files: served whole, without circles, and with the types that the API has."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from tmcir.gallery.query import WITHOUT_WEIGHT
from tmcir.gallery.relevance import WEAK
from tmcir.service import schemas

STATIC = {
    file.name: file.read_text() for file in files("tmcir.service").joinpath("static").iterdir()
}
MODULES = {name: text for name, text in STATIC.items() if name.endswith(".js")}
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def imports(module: str) -> set[str]:
    return set(re.findall(r'^(?:import|export)\b[^"]*? from "\./(.+?)";', MODULES[module], re.M))


@pytest.mark.parametrize("name", sorted(STATIC.keys() - {"index.html"}))
def test_every_file_is_served_as_what_it_is(client: TestClient, name: str) -> None:
    response = client.get(f"/static/{name}")
    assert response.status_code == 200 and response.text == STATIC[name]
    expected = TYPES[name[name.rindex(".") :]]
    assert response.headers["content-type"].partition(";")[0] == expected
    assert response.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in response.headers["content-security-policy"]
    tag = {"If-None-Match": response.headers["etag"]}
    assert client.get(f"/static/{name}", headers=tag).status_code == 304


@pytest.mark.parametrize("name", ["index.html", "main.ts", "../app.py", "%2e%2e/app.py", ""])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_the_page_names_every_module_once() -> None:
    named = re.findall(r'(?:href|src)="static/(.+?\.js)"', STATIC["index.html"])
    assert sorted(named) == sorted(MODULES)  # all are fetched at once, not one after another


def test_modules_import_each_other_without_circles() -> None:
    done: set[str] = set()
    waiting = set(MODULES)
    while ready := {module for module in waiting if imports(module) <= done}:
        done |= ready
        waiting -= ready
    assert waiting == set()


def test_what_a_module_imports_is_used_and_there() -> None:
    for name, text in MODULES.items():
        for names, source in re.findall(r'^import \{([^}]*)\} from "\./(.+?)";', text, re.M):
            for imported in re.findall(r"\w+", names):
                declared = rf"export (?:async )?(?:function|const|class|let) {imported}\b"
                assert re.search(declared, MODULES[source]), (name, source, imported)
                assert len(re.findall(rf"\b{imported}\b", text)) > 1, (name, imported)


def test_types_are_those_of_the_api() -> None:
    typedefs = re.findall(r"@typedef \{object\} (\w+)\n(.*?)\*/", MODULES["api.js"], re.S)
    assert len(typedefs) > 10
    for name, body in typedefs:
        model: type[BaseModel] = getattr(schemas, f"{name}Answer")
        assert re.findall(r"@property \{.+?\} (\w+)", body) == list(model.model_fields), name


def test_without_weighs_what_the_command_lines_not_does() -> None:
    (weight,) = re.findall(r"const WITHOUT_WEIGHT = ([-.\d]+);", MODULES["turns.js"])
    assert float(weight) == WITHOUT_WEIGHT


def test_weak_results_are_those_of_the_command_line() -> None:
    (weak,) = re.findall(r"const WEAK = ([-.\d]+);", MODULES["results.js"])
    assert float(weak) == WEAK
