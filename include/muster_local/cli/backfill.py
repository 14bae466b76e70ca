"""`./muster backfill`: bring past partitions through the stages again, by a run of the DAG `backfill`; or say what it
would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from muster.backfill.request import Request
    from muster.context import Context

STAGES = "Only these stages, as a comma list. Default: all, and promote only with --promote."
CHAMPION = "Who scores a slice: as-of, the champion of its time; or today, whose models may know its rows."


def backfill(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    first: Annotated[str, typer.Option("--from", help="The first partition, 2013-05-06.")],
    last: Annotated[str, typer.Option("--to", help="The last partition, itself included.")],
    stages: Annotated[str, typer.Option(help=STAGES)] = "",
    champion: Annotated[str, typer.Option(help=CHAMPION)] = "as-of",
    promote: Annotated[bool, typer.Option("--promote", help="Winners become champions, in order of time.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and start nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="A thousand partitions or more are meant.")] = False,
) -> None:
    """Bring a range of past partitions through the stages again; interrupted, the same command goes on."""
    from muster.backfill.estimate import as_text, estimate
    from muster.backfill.request import Request, partitions_of
    from muster.context import Context
    from muster.settings import settings

    context = Context.named(workload, settings())
    names = [name.strip() for name in stages.split(",") if name.strip()]
    request = Request.of_form(
        {"workload": workload, "from": first, "to": last, "stages": names, "champion": champion, "promote": promote}
    )
    partitions = partitions_of(context.workload, first, last, many=yes)
    if dry_run:
        typer.echo(as_text(request, partitions, estimate(context, request, partitions)))
        return
    _carry_out(context, request, partitions, yes)


def _carry_out(context: Context, request: Request, partitions: list[str], many: bool) -> None:
    """Begin the backfill or go on with it, follow it to its end, and print what came of it."""
    from rich.console import Console

    from muster.airflow_api import Airflow
    from muster.backfill.follow import Follower, begin
    from muster.backfill.report import as_text, is_complete
    from muster.backfill.request import DAG
    from muster.settings import settings
    from muster_local import local
    from muster_local.line import DagsMissing, Line
    from muster_local.passwords import airflow_login

    console = Console(highlight=False)
    airflow = Airflow(
        settings().airflow_url, airflow_login(settings()), alive=lambda: local.lives(settings(), "airflow-api")
    )
    Line(airflow, context.workload.name, lambda *_: None).open(request.stages)
    if not airflow.has_dag(DAG):
        raise DagsMissing([DAG], airflow.import_errors())
    id, how = begin(airflow, request, many)
    page = f"{settings().airflow_url}/dags/{DAG}/runs/{id}"
    console.print(f"{request}: backfill {id} {how}: {page}", soft_wrap=True)
    follower = Follower(airflow, request, id, partitions, _printer(console))
    try:
        run, report = follower.follow()
    except KeyboardInterrupt:
        console.print("The backfill goes on in Airflow; the same command follows it, marking its run failed stops it.")
        raise
    if report is not None:
        console.print(as_text(report), markup=False, soft_wrap=True)
    if run.state != "success":
        why = "not all is done" if report is not None and not is_complete(report) else follower.problem(run)
        typer.echo(f"error: backfill {id} has {run.state}: {why}; the same command goes on", err=True)
        raise typer.Exit(1)


def _printer(console: Console) -> Callable[[str, str, str, str], None]:
    marks = {"done": "[green]✓[/]", "skipped": "[yellow]-[/]", "failed": "[red]✗[/]"}

    def on_change(partition: str, stage: str, state: str, why: str) -> None:
        told = f" {why}" if why else ""
        console.print(f"  {marks.get(state, '[dim]…[/]')} {partition} {stage:<9} {state}{told}", soft_wrap=True)

    return on_change
