"""Quicker starts: what lancedb imports for services in the cloud, and no gallery uses, stays out.

Half of the time that lancedb takes to import goes into the models of the Lance Namespace API.
Commands put empty classes in their place. Programs that import tmcir are left alone: they may use
that API themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_UNUSED = ("lance_namespace", "lance_namespace_urllib3_client")


class _Hollow(ModuleType):
    """A module that has a class, empty, of every name that is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (Exception,), {})  # some are raised or caught
        setattr(self, name, found)
        return found


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in _UNUSED:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Hollow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def _without_unused() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in _UNUSED]:
            if isinstance(sys.modules[name], _Hollow):
                del sys.modules[name]


def import_lancedb_quickly() -> None:
    """Import lancedb without the models of its API; as it is where this does not work."""
    if any(name in sys.modules for name in ("lancedb", *_UNUSED)):
        return
    try:
        with _without_unused():
            import lancedb  # noqa: F401
    except Exception:  # a version that needs them
        for name in [name for name in sys.modules if name.partition(".")[0] == "lancedb"]:
            if name != "lancedb._lancedb":  # compiled: it can be initialised only once
                del sys.modules[name]
