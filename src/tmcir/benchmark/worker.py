"""Running a job in a process of its own, with its share of the cores.

The process reads a job from stdin and writes {"failed": reason or null} to stdout. It exits when
stdin closes, so that none outlives a killed benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tmcir.benchmark.plan import Job

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_in_process(job: Job, log: Path, threads: int) -> str | None:
    """Run a job in a new process; return why it failed, or None.

    Args:
        job: The job.
        log: File for the job's output.
        threads: Threads of its libraries.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    with log.open("a", encoding="utf-8") as file:
        worker = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment,
            text=True,
        )
        assert worker.stdin is not None and worker.stdout is not None
        try:
            # stdin stays open: when it closes, the process exits.
            worker.stdin.write(job.model_dump_json() + "\n")
            worker.stdin.flush()
            answer = worker.stdout.read()
        except BrokenPipeError:
            answer = ""
        finally:
            worker.kill()
            code = worker.wait()
            worker.stdin.close()
            worker.stdout.close()
    if not answer:
        return f"its process ended with code {code}; see {log}"
    reason: str | None = json.loads(answer)["failed"]
    return reason


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Run the job that stdin holds."""
    job_text = sys.stdin.readline()
    threading.Thread(target=_end_with_input, daemon=True).start()
    with redirect_stdout(sys.stderr):
        from tmcir.benchmark.job import attempt
        from tmcir.benchmark.plan import Job

        failed = attempt(Job.model_validate_json(job_text), sys.stderr)
    sys.stdout.write(json.dumps({"failed": failed}))
    sys.stdout.flush()
    os._exit(0)  # without waiting for the thread that reads stdin
