"""`./muster test`: the checks that a change must pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

CHECKS = (
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
)
"""What runs before pytest, side by side; each is configured in pyproject.toml."""

PREPARATION = ("python", "-m", "tests.preparation")
"""What runs beside the checks for tests that start services."""

QUICK = ("-m", "not e2e and not slow and not spark")
"""pytest's options for the tests that start no service."""

SLOWEST = ("--durations", "15")
"""The tests that a run names at its end."""

WORKERS, QUICK_WORKERS = "4", "2"
"""Many tests wait, so two workers more than a small machine has cores; the quick ones do not."""

PARALLEL = ("--dist", "loadgroup", "--no-loadscope-reorder")
"""How pytest runs them: their order is that of `tests/conftest.py`, not of the number of tests in a group."""


def test(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Only the tests that start no service.")] = False,
) -> None:
    """Run ruff, mypy and import-linter, then pytest with the arguments given."""
    from muster.settings import settings
    from muster_local.environment import toolchain

    env = toolchain(settings())
    _check(CHECKS if quick else (*CHECKS, PREPARATION), env)
    chosen = [*(QUICK if quick else ()), *context.args]
    parallel = () if {"-n", "-x", "--pdb"} & set(chosen) else ("-n", QUICK_WORKERS if quick else WORKERS, *PARALLEL)
    if code := _run(("pytest", *parallel, *SLOWEST, *chosen), env):
        raise typer.Exit(code)


def _check(commands: Sequence[Sequence[str]], env: dict[str, str]) -> None:
    """Run commands at the same time; print what each says, and end with the code of the first that fails."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(commands)) as pool:
        codes = list(pool.map(lambda command: _run(command, env), commands))
    if failed := next((code for code in codes if code), 0):
        raise typer.Exit(failed)


def _run(command: Sequence[str], env: dict[str, str]) -> int:
    import subprocess
    import sys
    from pathlib import Path

    from muster.die_with_parent import tied
    from muster_local import PROJECT

    program = str(Path(sys.executable).with_name(command[0]))
    # Tied: none goes on when this command is killed.
    return subprocess.run(tied([program, *command[1:]]), cwd=PROJECT, env=env).returncode  # noqa: S603 - programs of this environment
