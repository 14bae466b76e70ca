"""`./muster test`: the checks that a change must pass."""

from __future__ import annotations

import typer

CHECKS = (
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
)
"""What runs before pytest; each is configured in pyproject.toml."""


def test(context: typer.Context) -> None:
    """Run ruff, mypy, import-linter, then pytest with the arguments given."""
    import subprocess
    import sys
    from pathlib import Path

    from muster.settings import settings
    from muster_local import PROJECT
    from muster_local.environment import toolchain

    env = toolchain(settings())
    for command in (*CHECKS, ("pytest", *context.args)):
        program = str(Path(sys.executable).with_name(command[0]))
        code = subprocess.run([program, *command[1:]], cwd=PROJECT, env=env).returncode  # noqa: S603 - programs of this environment
        if code:
            raise typer.Exit(code)
