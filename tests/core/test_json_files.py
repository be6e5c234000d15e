"""JSON files as checked values, and the one line about what is wrong in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict

from tmcir.core.errors import TMCIRError
from tmcir.core.json_files import Name, Record, Text, Texts, Whole, check, parse_json, read_json


class Inner(Record):
    members: Texts


class Outer(Record):
    model_config = ConfigDict(extra="forbid")

    name: Name
    count: Whole
    inner: Inner
    note: Text = ""


@dataclass(frozen=True)
class Point:
    x: float
    labels: tuple[str, ...] = ()


GOOD = {"name": "a", "count": 0, "inner": {"members": ["b"], "more": 1}}


def test_a_value_of_each_kind(tmp_path: Path) -> None:
    outer = check(GOOD, "f", Outer)
    assert (outer.name, outer.count, outer.inner.members, outer.note) == ("a", 0, ("b",), "")
    (tmp_path / "a.json").write_text('{"x": 1.5, "labels": ["a"]}')
    assert read_json(tmp_path / "a.json", Point) == Point(1.5, ("a",))
    assert read_json(tmp_path / "a.json") == {"x": 1.5, "labels": ["a"]}
    assert parse_json('{"a": 1}', "f", dict[str, int]) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "f: must be an object with name, count and inner"),
        ({}, "f: 'name' is missing; 'count' is missing; 'inner' is missing"),
        (GOOD | {"name": ""}, "f: 'name' is empty"),
        (GOOD | {"name": 3}, "f: 'name' must be a text"),
        (GOOD | {"count": "7"}, "f: 'count' must be a whole number from 0"),
        (GOOD | {"count": True}, "f: 'count' is True, but must be a whole number from 0"),
        (GOOD | {"count": -1}, "f: 'count' is -1, but must be a whole number from 0"),
        (GOOD | {"inner": []}, "f: 'inner' must be an object"),
        (GOOD | {"inner": {}}, "f: 'inner': 'members' is missing"),
        (GOOD | {"inner": {"members": ["a", 1]}}, "f: 'inner': 'members' must be a list of texts"),
        (GOOD | {"nmae": 1}, "f: unknown key 'nmae': did you mean 'name'? valid: count, inner,"),
    ],
)
def test_every_mistake_is_named(content: Any, message: str) -> None:
    with pytest.raises(TMCIRError) as caught:
        check(content, "f", Outer)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TMCIRError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")
    for content in (b"{", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(TMCIRError, match=r"a\.json: not readable as JSON: "):
            read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(TMCIRError, match=r"a\.json: is a Git LFS pointer: `git lfs pull`"):
        read_json(tmp_path / "a.json")
    with pytest.raises(TMCIRError, match=r"^f: not JSON: .* at column 2$"):
        parse_json("{", "f", Point)
