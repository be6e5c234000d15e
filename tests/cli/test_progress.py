"""Progress where there is no terminal: a line now and then."""

from __future__ import annotations

import time

import pytest

from tmcir.cli import progress


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(progress, "LINE_SECONDS", 30.0)
    move = progress.progress_lines("editing")

    def said(seconds: float, done: int) -> str:
        nonlocal now
        now = 1000.0 + seconds
        move(done, 100)
        out, err = capsys.readouterr()
        assert out == ""
        return err

    # 10 seconds to load; 8 were there before.
    assert said(10, 8) == said(25, 16) == ""
    # 16 in 30 seconds: 76 more take 142.5 seconds.
    assert said(40, 24) == "editing  24/100  2.4 min left\n"
    assert said(69, 39) == ""
    # 32 in 60 seconds: 60 more take 112.5 seconds.
    assert said(70, 40) == "editing  40/100  1.9 min left\n"
    assert said(99, 100) == ""
    assert said(100, 100) == "editing  100/100  0.0 min left\n"


def test_progress_is_silent_while_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter((0.0, 100.0, 200.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    move = progress.progress_lines("editing")
    move(5, 100)
    move(5, 100)
    assert capsys.readouterr().err == ""
