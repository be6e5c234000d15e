from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.commands import run
from tests.gallery.fake import FakeModel
from tests.service.conftest import make_gallery

KEY = "a-key-of-enough-length"
#: `tmcir` with a model that needs no weights.
PROGRAM = """
import sys
import tmcir.gallery.model
from tests.gallery.fake import FakeModel
tmcir.gallery.model.load = lambda source, runtime: FakeModel(seconds=1.0)
from tmcir.cli import main
sys.argv[0] = "tmcir"
main()
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    make_gallery(folder, 5)
    return folder / "shop"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("tmcir.service", "uvicorn")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none"], "none: there is no gallery; make one with"),
        (["{shop}", "--host", "0.0.0.0"], "--without-key"),
        (["{shop}", "--api-key", "short"], "an API key has at least 16 ASCII characters"),
        (["{shop}", "--cors-origin", "*"], "write scheme and host"),
        (["{shop}", "--timeout", "0"], "timeout must be more than 0"),
        (["{shop}", "--port", "99999"], "Invalid value for '--port'"),
        (["{shop}", "--host", "192.0.2.1", "--without-key"], "192.0.2.1:8000: cannot listen"),
        (["{shop}", "--model", "./none"], "./none: no such model directory"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    if "./none" not in arguments:
        monkeypatch.setattr("tmcir.gallery.model.load", lambda source, runtime: FakeModel())
        arguments = [*arguments, "--model", "fake"]
    assert run("serve", *(argument.replace("{shop}", str(shop)) for argument in arguments)) == 2
    err = capsys.readouterr().err
    assert problem in err and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def get(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.slow
def test_serve_answers_until_it_is_told_to_stop_and_finishes_first(shop: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", PROGRAM, "serve", str(shop), "--port", str(port)]
    environment = {"TMCIR_API_KEYS": KEY, "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    process = subprocess.Popen(
        [*command, "--model", "fake"], stderr=subprocess.PIPE, text=True, env=environment
    )
    pool = ThreadPoolExecutor(1)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, process.stderr and process.stderr.read()
            try:
                if get(f"{url}/readyz")[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        # a search that takes a second, and the signal in its middle
        body = b'{"turns": [{"item": "001.png", "text": "x"}], "k": 2}'
        search = pool.submit(get, f"{url}/api/v1/search", body)
        while b"tmcir_under_way 1.0" not in get(f"{url}/metrics")[1]:
            assert not search.done()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert search.result(30)[0] == 200
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        pool.shutdown()
    assert process.returncode == 0, err
    first, *lines = err.splitlines()
    assert first == f"http://127.0.0.1:{port}/  (5 photos; Ctrl-C stops)"
    events = [json.loads(line)["event"] for line in lines]
    assert events[0] == "ready" and events[-1] == "closing"
