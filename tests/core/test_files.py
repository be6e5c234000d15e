"""Files that are whole or not there, and locks that end with their process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tmcir.core.errors import TMCIRError
from tmcir.core.files import expand_user, locked, staged_directory, write_bytes, write_text

HOLD = """
import sys, time
from pathlib import Path
from tmcir.core.files import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="there is nothing to lock with")


def hold(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds a lock, and return when it has it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


# Writing


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert path.stat().st_mode & 0o777 == 0o644
    write_text(path, "gr\u00f6\u00dfer\n")
    assert path.read_bytes() == b"gr\xc3\xb6\xc3\x9fer\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_is_as_it_was(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"before")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(TMCIRError, match=r"file: cannot be written: No space left on device$"):
        write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_whoever_reads_meanwhile_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [letter * 200_000 for letter in (b"a", b"b")]
    write_bytes(path, contents[0])
    done = threading.Event()

    def write() -> None:
        for turn in range(20):
            write_bytes(path, contents[turn % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)


@pytest.mark.parametrize("name", ["folder", "file/below"])
def test_a_place_where_no_file_can_be_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    with pytest.raises(TMCIRError, match=f"{name}: cannot be written"):
        write_bytes(tmp_path / name, b"content")


@pytest.mark.parametrize("path", ["~nobodyhere/a", "~nobodyhere", "a/~b"])
def test_a_user_that_is_not_there_is_no_error(path: str) -> None:
    assert expand_user(path) == Path(path)


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert expand_user("~/a") == Path("/home/someone/a")


# Folders

STAGE = """
import sys, time
from pathlib import Path
from tmcir.core.files import staged_directory

with staged_directory(Path(sys.argv[1])) as staging:
    (staging / "config.json").write_text("half")
    print("staged", flush=True)
    time.sleep(60)
"""


def stage(target: Path) -> subprocess.Popen[str]:
    """Start a process that writes a folder, and return when it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "staged\n"
    return process


def test_staged_files_appear_at_once_beside_the_others(tmp_path: Path) -> None:
    target = tmp_path / "made" / "model"
    with staged_directory(target) as staging:
        for name in ("config.json", "weights"):
            (staging / name).write_text("new")
        assert list(target.iterdir()) == [staging]
    (target / "other").write_text("stays")
    with pytest.raises(ZeroDivisionError), staged_directory(target) as staging:
        (staging / "config.json").write_text("never seen")
        raise ZeroDivisionError
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "other", "weights"]
    assert (target / "config.json").read_text() == "new"
    with pytest.raises(TMCIRError, match="cannot be written"), staged_directory(target / "other"):
        raise AssertionError("a file is in its place")


@needs_locks
def test_what_a_kill_left_of_a_folder_goes_with_the_next_write(tmp_path: Path) -> None:
    end(stage(tmp_path))
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".staging-"]
    running = stage(tmp_path)  # whose folder the next write must leave alone
    try:
        with staged_directory(tmp_path) as staging:
            (staging / "config.json").write_text("whole")
            assert len(list(tmp_path.iterdir())) == 2
        assert len(list(tmp_path.glob(".staging-*"))) == 1
    finally:
        end(running)
    with staged_directory(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == "whole"


# Locks


@needs_locks
def test_a_lock_that_another_process_holds_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "made" / "lock"
    process = hold(path)
    try:
        with pytest.raises(TMCIRError, match=r"^it is busy$"), locked(path, "it is busy"):
            raise AssertionError("two processes had the lock")
        with locked(tmp_path / "made" / "other", "it is busy"):
            pass
    finally:
        end(process)


@needs_locks
def test_a_lock_is_freed_when_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    end(hold(path))
    with locked(path, "it is busy"):
        pass


@needs_locks
def test_without_a_word_for_busy_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = hold(path)
    killer = threading.Timer(0.3, process.kill)
    killer.start()
    began = time.monotonic()
    try:
        with locked(path):
            assert process.wait() == -signal.SIGKILL
        assert time.monotonic() - began > 0.2
    finally:
        killer.join()
        end(process)


@needs_locks
def test_a_lock_is_freed_at_the_end_of_its_block_and_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with (
            locked(path, "it is busy"),
            # Even the same process has it once.
            pytest.raises(TMCIRError, match="it is busy"),
            locked(path, "it is busy"),
        ):
            pass
        with pytest.raises(ZeroDivisionError), locked(path, "it is busy"):
            raise ZeroDivisionError


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with (
        pytest.raises(TMCIRError, match="file/lock: cannot be written"),
        locked(tmp_path / "file" / "lock"),
    ):
        raise AssertionError("there is no lock")
