"""`./muster status`: what runs, and where each workload stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def status(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the services of this home and each workload's last partitions and champion."""
    from dataclasses import asdict
    from json import dumps

    from muster.settings import settings
    from muster_local import local
    from muster_local.progress import standing

    services = [asdict(state) for state in local.status(settings())]
    workloads = [asdict(found) for found in standing(settings())]
    if json:
        found = {"home": str(settings().home.resolve()), "services": services, "workloads": workloads}
        typer.echo(dumps(found, indent=2))
    else:
        _show(services, workloads)


def _show(services: list[dict[str, Any]], workloads: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("service", "state", "pid", "memory", "url", box=None, header_style="bold")
    for one in services:
        state = "stopped" if one["pid"] is None else "healthy" if one["healthy"] else "[red]not healthy[/]"
        memory = f"{one['memory'] / 2**20:.0f} MiB" if one["pid"] else ""
        table.add_row(one["title"], state, str(one["pid"] or ""), memory, one["url"] if one["pid"] else "")
    console.print(table)
    if workloads:
        console.print()
        console.print(_standings(workloads))


def _standings(workloads: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    from muster.workload.stages import STAGE_NAMES

    table = Table("last partition", *(one["workload"] for one in workloads), box=None, header_style="bold")
    for stage in STAGE_NAMES:
        table.add_row(stage, *(one["partitions"].get(stage, "-") for one in workloads))
    table.add_row("champion", *(_champion(one["champion"]) for one in workloads))
    return table


def _champion(found: str | None) -> str:
    return f"version {found}" if found and found.isdigit() else found or "-"
