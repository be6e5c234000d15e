"""Time of whole commands: a search, and a service until it is ready, by either runtime.

    python measurements/starting.py GALLERY --image FILE --text "in red"

Runtimes take turns, so that other load on the machine meets both. Prints the minimum and the median
over the turns, and processor seconds, which other load hardly changes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

from running import running_service

RUNTIMES = ("torch", "onnx")


def main() -> None:
    """Print a row per command and runtime."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery")
    parser.add_argument("--image", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    search = ["search", options.gallery, "--image", options.image, "--text", options.text]
    seconds: dict[tuple[str, str], list[float]] = {}
    processor: dict[str, list[float]] = {}
    for _ in range(options.turns):
        for runtime in RUNTIMES:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            command = [sys.executable, "-m", "tmcir", *search, "--runtime", runtime]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.setdefault(("search", runtime), []).append(time.perf_counter() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            processor.setdefault(runtime, []).append(used)
            began = time.perf_counter()
            with running_service(options.gallery, "--runtime", runtime):
                seconds.setdefault(("serve", runtime), []).append(time.perf_counter() - began)
    print(f"{'command':10}{'runtime':10}{'minimum s':>10}{'median s':>10}{'processor s':>13}")
    for (name, runtime), times in sorted(seconds.items()):
        spent = f"{min(processor[runtime]):.2f}" if name == "search" else ""
        print(f"{name:10}{runtime:10}{min(times):10.2f}{statistics.median(times):10.2f}{spent:>13}")


if __name__ == "__main__":
    main()
