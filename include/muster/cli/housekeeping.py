"""`muster housekeeping`: remove what nobody needs any more of a workload's data, or say what that would be."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, TextIO

import typer

from muster.context import Context
from muster.printable import number
from muster.settings import settings

WORKLOAD = Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]


def housekeeping(workload: WORKLOAD, dry_run: DRY_RUN = False) -> None:
    """Remove old versions of tables, packs and models that nobody needs any more, and results of attempts."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from muster.housekeeping.sweep import sweep
    from muster.mlflow.budget import MlflowRefused

    context = Context.named(workload, settings())
    try:
        report = sweep(context, dry_run).report()
    except Exception as error:
        if (refused := MlflowRefused.of(error)) is None:
            raise
        raise refused from error
    show(workload, report, sys.stdout)


def show(workload: str, report: Mapping[str, Any], out: TextIO) -> None:
    """Print what was removed and kept: a line a kind, files and bytes."""
    from muster.housekeeping.figures import KINDS

    verb = "would be removed" if report["dry_run"] else "removed"
    out.write(f"{workload}:{'':<{max(0, 28 - len(workload))}}{verb:>24}{'kept':>24}\n")
    for kind, words in KINDS.items():
        gone, left = (_files_and_bytes(report, name, kind) for name in ("removed", "kept"))
        out.write(f"  {words:<27}{gone:>24}{left:>24}\n")
    total = sum(report["removed_bytes"].values())
    out.write(f"{_size(total)} {verb}{'; nothing was changed' if report['dry_run'] else ''}\n")
    if report["unknown"]:
        unknown = number(report["unknown"], "file")
        out.write(f"left: {unknown} that Muster does not know, {report['unknown_files']}\n")


def _files_and_bytes(report: Mapping[str, Any], name: str, kind: str) -> str:
    count = report[name][kind]
    return f"{number(count, 'file')}, {_size(report[f'{name}_bytes'][kind])}" if count else "-"


def _size(count: int) -> str:
    """Return a number of bytes in the unit that it is read in."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} bytes"
