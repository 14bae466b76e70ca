"""`./muster status`: what runs, and how far each workload has come."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def status(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the services of this home and each workload's last partitions and champion."""
    from dataclasses import asdict
    from json import dumps

    from muster.settings import settings
    from muster.workload.load import NoWorkloadFolder
    from muster_local import local
    from muster_local.progress import progress

    services = [asdict(state) for state in local.status(settings())]
    try:
        workloads = [asdict(workload) for workload in progress(settings())]
    except NoWorkloadFolder:
        if not json:
            _show(services, [])  # what runs does not depend on it
        raise
    if json:
        report = {"home": str(settings().home.resolve()), "services": services, "workloads": workloads}
        typer.echo(dumps(report, indent=2))
    else:
        _show(services, workloads)


def _show(services: list[dict[str, Any]], workloads: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("service", "state", "pid", "memory", "url", box=None, header_style="bold")
    for service in services:
        state = "stopped" if service["pid"] is None else "healthy" if service["healthy"] else "[red]not healthy[/]"
        memory = f"{service['memory'] / 2**20:.0f} MiB" if service["pid"] else ""
        table.add_row(
            service["title"], state, str(service["pid"] or ""), memory, service["url"] if service["pid"] else ""
        )
    console.print(table)
    if workloads:
        console.print()
        console.print(_progress(workloads))
        for item in workloads:
            for text in _remarks(item):
                console.print(f"{item['workload']}: {text}", markup=False)


def _remarks(item: dict[str, Any]) -> list[str]:
    """Return what a workload's line does not hold: what waits, what was never brought, what is out of date."""
    from muster.errors import bounded

    remarks = list(item["waiting"])
    if item["left_out"]:
        remarks.append(f"never ingested: {bounded(item['left_out'], 5)}")
    if item["out_of_date"]:
        remarks.append(f"slices out of date: {item['out_of_date']}")
    return remarks


def _progress(workloads: list[dict[str, Any]]) -> Any:
    """Return a line a workload, however many stages and workloads there are."""
    from rich.table import Table

    table = Table("workload", "champion", "last partition", box=None, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for item in workloads:
        table.add_row(item["workload"], _champion(item["champion"]), _reached(item["partitions"]))
    return table


def _reached(partitions: dict[str, str]) -> str:
    """Return how far the stages are: `ingest to train 2013-08-26, evaluate to score 2013-08-19`."""
    from itertools import groupby

    from muster.workload.stages import STAGE_NAMES

    runs: list[tuple[str, list[str]]]
    runs = [(last, list(stages)) for last, stages in groupby(STAGE_NAMES, lambda stage: partitions.get(stage, "-"))]
    if len(runs) == 1:
        return runs[0][0]
    return ", ".join(f"{' to '.join(dict.fromkeys((stages[0], stages[-1])))} {last}" for last, stages in runs)


def _champion(text: str | None) -> str:
    return f"version {text}" if text and text.isdigit() else text or "-"
