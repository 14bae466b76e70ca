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


def _progress(workloads: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    from muster.workload.stages import STAGE_NAMES

    table = Table("last partition", *(item["workload"] for item in workloads), box=None, header_style="bold")
    for stage in STAGE_NAMES:
        table.add_row(stage, *(item["partitions"].get(stage, "-") for item in workloads))
    table.add_row("champion", *(_champion(item["champion"]) for item in workloads))
    if any(item["out_of_date"] for item in workloads):
        table.add_row("slices out of date", *(item["out_of_date"] or "-" for item in workloads))
    return table


def _champion(text: str | None) -> str:
    return f"version {text}" if text and text.isdigit() else text or "-"
