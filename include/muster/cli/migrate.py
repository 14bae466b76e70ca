"""`muster migrate`: the rows of before as their columns are declared now."""

from __future__ import annotations

from typing import Annotated

import typer

from muster.context import Context
from muster.settings import settings


def migrate(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
) -> None:
    """Rewrite the rows of `observations` as columns and keys are declared now; pause the workload's ingest first."""
    from muster.ingest.migration import migrate

    done = migrate(Context.named(workload, settings()))
    if not (done.days or done.changes):
        typer.echo(f"{workload}: rewrote nothing: all rows are as they are declared now")
        return
    changes = "; ".join(done.changes) or "no column is another"
    typer.echo(f"{workload}: rewrote {done.rows:,} rows of {done.days:,} days ({changes}); run features again")
