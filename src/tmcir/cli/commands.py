"""Kinds of command: what Ctrl-C says, and options that take several values."""

from __future__ import annotations

from typing import Any, ClassVar

import typer
from typer.core import TyperCommand

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class Command(TyperCommand):
    """A command that Ctrl-C stops with one line."""

    stopped: ClassVar[str] = "stopped"

    def get_help(self, ctx: Any) -> str:
        """Return the help, with an example that works when it is pasted."""
        return str(super().get_help(ctx)).replace(
            "\n    tmcir ", f"\n    {ctx.find_root().info_name} "
        )

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(self.stopped, err=True)
            raise typer.Exit(INTERRUPTED) from None


class ResumableCommand(Command):
    """A command that resumes when it is run again."""

    stopped = "stopped; the same command resumes"


class BenchmarkCommand(ResumableCommand):
    """A command whose options --seeds and --cells take all values up to the next argument."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the values of each such option by commas, then parse."""
        joined: list[str] = []
        listing = False
        for argument in args:
            if listing and "=" not in argument and not argument.startswith("-"):
                joined[-1] = f"{joined[-1]},{argument}".removeprefix(",")
                continue
            joined.append(argument)
            listing = argument in ("--seeds", "--cells")
            if listing:
                joined.append("")
        return super().parse_args(ctx, joined)
