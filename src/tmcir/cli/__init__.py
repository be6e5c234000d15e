"""The command line: a module a room; each command parses, calls one function and prints."""

from tmcir.cli.program import app, main

__all__ = ["app", "main"]
