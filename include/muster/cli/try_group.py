"""`muster try`: one group through features, fit and gate, with neither Spark nor Airflow nor MLflow."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster.context import Context
from muster.errors import UnknownName
from muster.settings import settings

if TYPE_CHECKING:
    from muster.trial.trial import Trial

FORMATS = ("table", "json")


def try_(
    workload: Annotated[str, typer.Argument(help="A workload: a file of the workloads' folder, without .yaml.")],
    group: Annotated[str, typer.Option(help="The group: its keys as a CSV row, UA,EWR,ORD.")],
    partition: Annotated[str | None, typer.Option(help="The first day of its slice; else the last demo one.")] = None,
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Try one group in seconds: features, fit and gate as the Spark jobs run them; nothing is written to a table."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    from muster.workload.own_code import exit_raised

    with exit_raised():
        trial, seconds = _tried(workload, group, partition)
    result = as_dict(trial) | {"seconds": seconds}
    if format == "json":
        sys.stdout.write(json.dumps(result, indent=1, default=str, ensure_ascii=False) + "\n")
    else:
        from muster.cli.trial_view import view

        view(result, sys.stdout)
    if trial.training["state"] == "failed" or trial.point_in_time.leaks:
        raise typer.Exit(1)


def _tried(workload: str, group: str, partition: str | None) -> tuple[Trial, float]:
    """Try a group, its files landed where there are none; return the trial, and the seconds without landing."""
    from muster.trial.group_keys import canonical_group
    from muster.trial.group_observations import default_partition, land_if_empty
    from muster.trial.trial import try_group

    context = Context.named(workload, settings())
    name = canonical_group(context.workload, group)
    of_partition = context.at(partition or default_partition(context).isoformat())
    if landed := land_if_empty(context):
        sys.stderr.write(f"landed {landed} files in {context.store.uri(context.store.landing)}\n")
    started = perf_counter()
    return try_group(of_partition, name), perf_counter() - started


def as_dict(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain values."""
    leaks = [asdict(leak) for leak in trial.point_in_time.leaks]
    return {
        "group": trial.group,
        "partition": trial.windows.key,
        "source": trial.observed.source,
        "observations": trial.observed.rows.num_rows,
        "refused": dict(trial.observed.refused),
        "delivered_again": list(trial.observed.delivered_again),
        "not_landed": list(trial.observed.not_landed),
        "misnamed": list(trial.observed.misnamed.names),
        "named_as": trial.observed.misnamed.named_as,
        "next_run_fails": trial.observed.next_run_fails,
        "stale_since": trial.stale_since,
        "weight": trial.workload.weight,
        "windows": trial.rows(),
        "features": trial.summary(),
        "point_in_time": {"days": list(trial.point_in_time.days), "leaks": leaks},
        "training": trial.training,
        "fits": trial.fits,
        "failed_at": trial.failed_at,
        "decision": trial.decision,
    }
