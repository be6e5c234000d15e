"""What this machine offers: versions, devices and optional parts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

_PACKAGES = {
    "search": ("torch", "transformers", "lancedb", "pillow"),
    "train": ("accelerate", "peft", "tensorboard"),
    "generate": ("diffusers",),
    "serve": ("fastapi", "uvicorn"),
}


def report() -> str:
    """Return a few lines for a person or a bug report."""
    lines = [
        f"tmcir {_version('tmcir')}, Python {platform.python_version()}, {platform.platform()}",
        f"processor: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads",
        f"device: {_device()}",
    ]
    for extra, packages in _PACKAGES.items():
        found = ", ".join(f"{name} {_version(name)}" for name in packages)
        lines.append(f"{extra}: {found}")
        if extra != "search" and "(not installed)" in found:
            lines[-1] += f"; to get it: pip install 'tmcir[{extra}]'"
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _device() -> str:
    if not torch.cuda.is_available():
        return "CPU"
    memory = torch.cuda.get_device_properties(0).total_memory / 1024**3
    return (
        f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, and {torch.cuda.device_count()} in all"
    )
