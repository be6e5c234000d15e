"""A service in a process of its own, for the measurements of it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_service(gallery: str, *options: str) -> Iterator[str]:
    """Run ``tmcir serve`` on a free port, logging to runs/service.log, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tmcir", "serve", gallery, "--port", str(port), *options]
    Path("runs").mkdir(exist_ok=True)
    with (
        Path("runs/service.log").open("wb") as log,
        subprocess.Popen(command, stderr=log) as process,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(process, address)
            yield address
        finally:
            process.terminate()


def memory(address: str) -> float:
    """Return the resident memory of the service, MiB."""
    with urllib.request.urlopen(f"{address}/metrics") as response:
        found = re.search(rb"process_resident_memory_bytes ([\d.e+]+)", response.read())
    return float(found[1]) / 2**20 if found else float("nan")


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    while True:
        if process.poll() is not None:
            sys.exit("the service has stopped; runs/service.log says why")
        try:
            with urllib.request.urlopen(f"{address}/readyz"):
                return
        except OSError:
            time.sleep(0.2)
