from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.commands import Mistake, run

# Workers share the cores: with several threads each, they would wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is timed: a shared machine may stand still for longer than any deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
FOLDERS = ("fashion-products", "fashion-iq", "cirr", "circo")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real photos and annotations; skips where one of them is missing."""
    missing = [name for name in FOLDERS if not (SHARED_DATA / name).is_dir()]
    if missing:
        pytest.skip(f"../shared/data lacks {', '.join(missing)}")
    return SHARED_DATA


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str]) -> Mistake:
    """Runs a command that must end by a user's mistake, and returns its one line."""

    def line_of(*arguments: str) -> str:
        assert run(*arguments) == 2
        out, err = capsys.readouterr()
        assert err.startswith("error: ") and err.count("\n") == 1 and out == ""
        return err

    return line_of
