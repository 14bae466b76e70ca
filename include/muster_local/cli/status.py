"""`./muster status`: what runs, how far each workload has come, and what an operator must know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from muster_local.aliases import AliasState
    from muster_local.open_runs import AirflowState
    from muster_local.progress import Progress
    from muster_local.waiting import Waiting

MAX_LINES = 3
"""Lines of one kind below the table, for one workload."""
DEADLINES = "deadlines"
"""The DAG that tells people of them."""


def status(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the services of this home, each workload's champion and last scored partition, and what is red or waits."""
    from dataclasses import asdict
    from json import dumps

    from muster.settings import settings
    from muster.workload.load import NoWorkloadFolder, declared_files
    from muster_local import local
    from muster_local.aliases import alias_state
    from muster_local.open_runs import airflow_state
    from muster_local.progress import progress

    services = [asdict(state) for state in local.status(settings())]
    try:
        workloads = progress(settings())
    except NoWorkloadFolder:
        if not json:
            _show_services(services)  # what runs does not depend on it
        raise
    airflow = airflow_state(settings(), declared_files(settings().workloads))
    aliases = alias_state(settings(), [workload.workload for workload in workloads if workload.promoted])
    if json:
        about: dict[str, Any] = {"home": str(settings().home.resolve()), "services": services}
        workloads_told = [as_dict(workload, airflow, aliases) for workload in workloads]
        airflow_told = {"problem": airflow.problem, "import_errors": airflow.import_errors}
        about |= {"workloads": workloads_told, "airflow": airflow_told, "mlflow": {"problem": aliases.problem}}
        typer.echo(dumps(about, indent=2, default=str))
    else:
        _show_services(services)
        show_workloads(workloads, airflow, aliases)


def as_dict(workload: Progress, airflow: AirflowState, aliases: AliasState) -> dict[str, Any]:
    """Return all that is known of a workload."""
    from dataclasses import asdict

    return {
        **asdict(workload),
        "alias": [str(error) for error in aliases.wrong.get(workload.workload, [])],
        "waiting": [item.text(airflow.paused) for item in _waiting(workload, airflow)],
        "refused": _refused(workload, airflow),
        "judged_since": workload.judged_since,
        "runs": [asdict(run) for run in airflow.runs.get(workload.workload, [])],
    }


def _show_services(services: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("service", "state", "pid", "memory", "url", box=None, header_style="bold")
    for service in services:
        state = "stopped" if service["pid"] is None else "healthy" if service["healthy"] else "[red]not healthy[/]"
        memory = f"{service['memory'] / 2**20:.0f} MiB" if service["pid"] else ""
        table.add_row(
            service["title"], state, str(service["pid"] or ""), memory, service["url"] if service["pid"] else ""
        )
    Console().print(table)


def show_workloads(workloads: list[Progress], airflow: AirflowState, aliases: AliasState) -> None:
    """Print a row a workload, however many there are, and below what a row does not hold."""
    from rich.console import Console
    from rich.text import Text

    from muster.printable import FOLDED, cell

    console = Console(highlight=False)
    lines = [problem for problem in (airflow.problem, aliases.problem) if problem]
    lines += [f"Airflow cannot read {error}" for error in airflow.import_errors[:MAX_LINES]]
    if DEADLINES in airflow.paused and any(workload.watched for workload in workloads):
        lines.append(f"the DAG {DEADLINES} is paused: nobody is told of a deadline that is missed; unpause it")
    for workload in workloads:
        lines += [f"{workload.workload}: {line}" for line in remarks(workload, airflow, aliases)]
    console.print()
    if workloads:
        console.print(_table(workloads, airflow, aliases))
        console.print()
    for line in lines:
        console.print(Text(cell(line, FOLDED)))


def _table(workloads: list[Progress], airflow: AirflowState, aliases: AliasState) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for name in ("workload", "champion", "last scored", "now"):
        table.add_column(name, overflow="fold")
    for workload in workloads:
        scored = f"{workload.scored or '-'}{' (old)' if workload.old else ''}"
        texts = (workload.workload, _champion(workload.champion), scored, now(workload, airflow, aliases))
        table.add_row(*(Text(text) for text in texts))
    return table


def now(workload: Progress, airflow: AirflowState, aliases: AliasState) -> str:
    """Return in a few words what is most urgent."""
    if _refused(workload, airflow):
        return "YAML refused"
    if workload.unreadable:
        return "not readable"
    if wrong := aliases.wrong.get(workload.workload):
        return wrong[0].short
    if runs := [run for run in airflow.runs.get(workload.workload, []) if run.partition is not None]:
        return runs[0].short
    if waiting := _waiting(workload, airflow):
        return waiting[0].short(airflow.paused)
    if workload.late:
        return "past a deadline"
    return "not known" if airflow.problem else "idle"


def remarks(workload: Progress, airflow: AirflowState, aliases: AliasState) -> list[str]:
    """Return what a workload's row does not hold: what is red or waits, what was never brought, what is out of date."""
    from muster.errors import bounded
    from muster.settings import command

    lines = []
    if problem := _refused(workload, airflow):
        every = command(f"try {workload.workload} --group ANY")
        lines.append(f"its YAML is refused, so nothing of it runs; {problem}; all problems: {every}")
    if workload.unreadable:
        lines.append(f"what it left in the store cannot be read: {workload.unreadable}")
    lines += _first([str(error) for error in aliases.wrong.get(workload.workload, [])], "groups")
    lines += [*_first(list(workload.late), "deadlines"), *_first(list(workload.not_told), "alerts")]
    lines += _first([run.text() for run in airflow.runs.get(workload.workload, [])], "runs")
    lines += _first([item.text(airflow.paused) for item in _waiting(workload, airflow)], "partitions")
    if workload.next_training:
        lines.append(f"trained again from partition {workload.next_training} on, or for a cause of 'retrain.on'")
    if (watch := f"{workload.workload}.watch") in airflow.paused:
        lines.append(f"{watch} is paused: nothing that arrives is ingested; unpause it, and it finds what has come")
    if workload.left_out:
        lines.append(f"never ingested: {bounded(workload.left_out, 5)}")
    lines += _first(_predictions_old(workload), "reasons")
    if workload.out_of_date:
        lines.append(f"slices out of date: {workload.out_of_date}")
    return lines


def _predictions_old(workload: Progress) -> list[str]:
    """Return a line for each reason why predictions are old, that of the latest partition first."""
    from muster.errors import bounded

    alike: dict[tuple[str, ...], list[str]] = {}
    for partition, why in sorted(workload.predictions_old.items(), reverse=True):
        alike.setdefault(why, []).append(partition)
    stage = f"{workload.workload}.score"
    return [
        f"predictions of {bounded(partitions, 5)} are old: {' and '.join(why)}; "
        f"clear {'its run' if len(partitions) == 1 else 'their runs'} of {stage}"
        for why, partitions in alike.items()
    ]


def _first(lines: list[str], what: str) -> list[str]:
    more = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], *([f"and {more} more {what}; --json has all"] if more > 0 else [])]


def _refused(workload: Progress, airflow: AirflowState) -> str | None:
    """Return why a workload has no DAGs: as its file is now, or as Airflow has read it."""
    if workload.refused:
        return workload.refused
    in_airflow = airflow.refused.get(workload.file)
    return f"so Airflow has read it: {in_airflow}" if in_airflow else None


def _waiting(workload: Progress, airflow: AirflowState) -> list[Waiting]:
    """Return what waits for its next stage, without what that stage, or the one before still, has a run for."""
    runs = {(run.stage, run.partition) for run in airflow.runs.get(workload.workload, [])}
    return [
        item
        for item in workload.waiting
        if runs.isdisjoint((stage, item.partition) for stage in (item.stage, item.following, "retry"))
    ]


def _champion(text: str | None) -> str:
    return f"version {text}" if text and text.isdigit() else text or "-"
