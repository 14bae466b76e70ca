"""`./muster test`: the checks that a change must pass."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from muster.die_with_parent import tied
from muster_local import PROJECT

CHECKS = (
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
)
"""What runs beside pytest; each is configured in pyproject.toml."""

PREPARATION = ("python", "-m", "tests.preparation")
"""What runs before tests that start services."""

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
    """Run pytest with the arguments given, and ruff, mypy and import-linter beside it."""
    from concurrent.futures import ThreadPoolExecutor

    from muster.settings import settings
    from muster_local.environment import toolchain

    env = toolchain(settings())
    chosen = [*(QUICK if quick else ()), *context.args]
    parallel = () if {"-n", "-x", "--pdb"} & set(chosen) else ("-n", QUICK_WORKERS if quick else WORKERS, *PARALLEL)
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        checks = {" ".join(command): pool.submit(_check, command, env) for command in CHECKS}
        code = 0 if quick else _run(PREPARATION, env)
        code = code or _run(("pytest", *parallel, *SLOWEST, *chosen), env)
    for name, check in checks.items():
        typer.echo(f"{name}: {'failed, as told above' if check.result() else 'passed'}")
        code = code or check.result()
    if code:
        raise typer.Exit(code)


def _check(command: Sequence[str], env: dict[str, str]) -> int:
    """Run a check and return its code; what it prints is told as soon as it has failed, in one piece."""
    import subprocess

    check = subprocess.run(_tied(command), cwd=PROJECT, env=env, capture_output=True, text=True)  # noqa: S603 - of ours
    if check.returncode:
        typer.echo(f"\n{' '.join(command)} failed:\n{check.stdout}{check.stderr}", err=True)
    return check.returncode


def _run(command: Sequence[str], env: dict[str, str]) -> int:
    import subprocess

    return subprocess.run(_tied(command), cwd=PROJECT, env=env).returncode  # noqa: S603 - programs of this environment


def _tied(command: Sequence[str]) -> list[str]:
    """Return a command of this environment that ends when this process is killed."""
    return tied([str(Path(sys.executable).with_name(command[0])), *command[1:]])
