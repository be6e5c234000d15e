from __future__ import annotations

import json

import pytest

from tmcir.core import errors
from tmcir.core.errors import extras, first_line, install_command, missing_package

REQUIREMENTS = [
    "torch>=2.6",
    "PyYAML>=6.0",
    "accelerate>=1.4; extra == 'train'",
    "tmcir[train]; extra == 'generate'",
    "accelerate>=1.4; extra == 'generate'",
    "diffusers[torch]>=0.40; extra == 'generate'",
    'python_multipart>=0.0.20; extra == "serve"',
]


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "requires", lambda name: REQUIREMENTS)
    monkeypatch.setattr(errors, "extras", extras.__wrapped__)


def test_extras_are_read_from_the_metadata(metadata: None) -> None:
    assert errors.extras() == {
        "": ("torch", "pyyaml"),
        "train": ("accelerate",),
        "generate": ("accelerate", "diffusers"),
        "serve": ("python-multipart",),
    }


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("accelerate.utils", "train"),
        ("diffusers", "generate"),
        ("python_multipart", "serve"),
        ("torch", None),
        ("something", None),
        ("", None),
    ],
)
def test_a_missing_package_names_the_smallest_extra_that_has_it(
    metadata: None, module: str, extra: str | None
) -> None:
    error = missing_package(ModuleNotFoundError(name=module))
    assert (error is None) if extra is None else (f"[{extra}]" in str(error))


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, 'pip install "tmcir[serve]"'),
        ({"url": "https://example.org/tmcir.whl"}, 'pip install "tmcir[serve]"'),
        (
            {"url": "file:///a/b%20c", "dir_info": {"editable": True}},
            'pip install -e "/a/b c[serve]"',
        ),
        ({"url": "file:///a/b", "dir_info": {}}, 'pip install "/a/b[serve]"'),
    ],
)
def test_an_extra_is_installed_from_where_the_package_came(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, object] | None, command: str
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            return None if origin is None else json.dumps(origin)

    monkeypatch.setattr(errors, "distribution", lambda name: Distribution())
    assert install_command("serve") == command


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("one\ntwo", "one"),
        ("Error(s) in loading state_dict for TMCIR:\n\tMissing key(s): a\n", "Missing key(s): a"),
        ("\n  first:\nsecond:\n", "first:"),
        ("", "ValueError"),
    ],
)
def test_the_first_line_that_tells_something(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line
