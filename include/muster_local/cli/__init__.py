"""`./muster COMMAND` in a checkout: the library's commands, and those about the local stack."""

from __future__ import annotations

from collections.abc import Sequence

from muster import cli

COMMANDS = {
    **{name: f"muster_local.cli.{name}:{name}" for name in ("up", "down", "status", "backfill", "retry")},
    **cli.COMMANDS,
    **{name: f"muster_local.cli.{name}:{name}" for name in ("housekeeping", "bench", "test")},
}
"""A command's name -> its module and the function in it."""

PASSING_ON = frozenset({"test"})
"""Commands whose unknown options belong to another program."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, signed in to the local MLflow server where that requires it."""
    cli.main(arguments, COMMANDS, PASSING_ON)
