"""`tmcir doctor`: versions, devices and optional parts of this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from tmcir.cli.options import Json
from tmcir.cli.output import print_json, runnable
from tmcir.core.errors import extras, install_command

_MISSING = "(not installed)"


def doctor(as_json: Json = False) -> None:
    """Print versions and devices, for a bug report.

    \b
    Example:
      tmcir doctor
    """
    found = report()
    if as_json:
        print_json(found)
        return
    typer.echo(f"tmcir {found['tmcir']}, Python {found['python']}, {found['platform']}")
    typer.echo(f"processor: {found['cores']} cores, {found['threads']} threads")
    typer.echo(f"device: {found['device']}")
    for extra, versions in found["packages"].items():
        line = f"{extra}: {', '.join(f'{name} {number}' for name, number in versions.items())}"
        if _MISSING in versions.values():
            line += f"; to get it: {runnable(f'`{install_command(extra)}`')}"
        typer.echo(line)


def report() -> dict[str, Any]:
    """Return versions of the package, of Python and of all packages by extra, and the device."""
    from tmcir.runtime.sessions import num_threads

    return {
        "tmcir": _version("tmcir"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": num_threads(),
        "device": _device(),
        "packages": {
            extra or "search": {name: _version(name) for name in packages}
            for extra, packages in extras().items()
            if extra != "dev"
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING


def _device() -> str:
    try:
        import torch
    except ModuleNotFoundError:
        return "CPU; torch is not installed"
    if not torch.cuda.is_available():
        return "CPU"
    memory = torch.cuda.get_device_properties(0).total_memory / 1024**3
    return (
        f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, and {torch.cuda.device_count()} in all"
    )
