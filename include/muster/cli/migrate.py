"""`muster migrate`: the rows of before as their columns are declared now."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from muster.context import Context
from muster.settings import settings


def migrate(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
) -> None:
    """Rewrite the rows of `observations` as columns and keys are declared now; pause the workload's ingest first.

    Exit code 65 where ingest would refuse rows of before.
    """
    from muster.ingest.migration import RefusedRows, migrate

    try:
        done = migrate(Context.named(workload, settings()))
    except RefusedRows as refused:
        typer.echo(f"error: {refused}", err=True)
        raise typer.Exit(os.EX_DATAERR) from None
    if not (done.days or done.changes):
        typer.echo(f"{workload}: rewrote nothing: all rows are as they are declared now")
        return
    changes = "; ".join(done.changes) or "no column is another"
    typer.echo(f"{workload}: rewrote {done.rows:,} rows of {done.days:,} days ({changes}); run features again")
