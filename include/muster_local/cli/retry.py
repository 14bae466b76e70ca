"""`./muster retry`: train the groups of a partition that failed, were stale or came late, and nobody else's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from muster.settings import Settings
    from muster.training.retry import Due

FORMATS = ("table", "csv", "json")
COLUMNS = ("group", "state", "attempts", "error_class", "reason")


def retry(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    partition: Annotated[str, typer.Option(help="The partition: the first day of its slice.")],
    group: Annotated[list[str] | None, typer.Option(help="Only this group, UA,EWR,ORD; may be repeated.")] = None,
    why: Annotated[str, typer.Option(help="What was mended, for the runs of MLflow.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the groups that are due, and start nothing.")
    ] = False,
    format: Annotated[str, typer.Option(help="Of the list: table, csv or json.")] = "table",
) -> None:
    """Train, judge, promote and score just the groups of a partition that failed; the others' models stay."""
    from rich.console import Console

    from muster.context import Context
    from muster.errors import UnknownName
    from muster.settings import settings
    from muster.training.retry import check_asked, find_attempts
    from muster_local.summary import summary

    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    context = Context.named(workload, settings()).at(partition)
    attempts, named = find_attempts(context), group or []
    check_asked(context, attempts, named)
    due = [row for row in attempts.due.values() if not named or row.group in named]
    if not due and not named:
        typer.echo(f"{workload} {context.partition}: no group failed, was stale or came late: nothing to retry.")
        return
    _show(due, format)
    if not dry_run:
        _run(settings(), workload, context.partition, named, why)
        console = Console(highlight=False, stderr=True)
        console.print()
        console.print(summary(context, context.partition))


def _show(due: Sequence[Due], format: str) -> None:
    from muster.cli.records import write_csv, write_json

    rows: list[dict[str, Any]] = [{name: getattr(row, name) for name in COLUMNS} for row in due]
    if format == "csv":
        write_csv(COLUMNS, rows, sys.stdout)
    elif format == "json":
        write_json(rows, sys.stdout)
    else:
        import pyarrow as pa

        from muster.cli.table_view import view
        from muster.storage.query import Rows

        view(Rows(pa.Table.from_pylist(rows), len(rows)), sys.stdout)


def _run(settings: Settings, workload: str, partition: str, groups: Sequence[str], why: str) -> None:
    from rich.console import Console

    from muster.airflow_api import Airflow
    from muster_local import local
    from muster_local.line import WAITING_STATES, LineStopped
    from muster_local.passwords import airflow_login
    from muster_local.retry_run import RetryRun

    console = Console(highlight=False, stderr=True)
    signs = {"success": "[green]✓[/]", "skipped": "[yellow]-[/]", "failed": "[red]✗[/]"}
    with console.status("Starting the retry") as spinner:

        def on_task(task: str, state: str) -> None:
            if state in signs or state in WAITING_STATES.values():
                console.print(f"  {signs.get(state, '[yellow]…[/]')} {task:<9} {state}")
            spinner.update(f"{task} {state}")

        airflow = Airflow(
            settings.airflow_url, airflow_login(settings), alive=lambda: local.lives(settings, "airflow-api")
        )
        try:
            RetryRun(airflow, workload, on_task).run(partition, groups, why)
        except LineStopped as stopped:
            for text in stopped.log:
                console.print(f"  | {text}", markup=False, soft_wrap=True)
            raise
