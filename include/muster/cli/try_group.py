"""`./muster try`: one group through features, fit and gate, with neither Spark nor Airflow nor MLflow."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster.errors import UnknownName
from muster.settings import settings
from muster.storage.store import Store
from muster.workload.load import find_workload
from muster.workload.windows import partition_windows

if TYPE_CHECKING:
    from muster.trial.trial import Trial

FORMATS = ("table", "json")


def try_(
    workload: Annotated[str, typer.Argument(help="A workload: a file of include/workloads/ without .yaml.")],
    group: Annotated[str, typer.Option(help="The group: its keys as a CSV row, UA,EWR,ORD.")],
    partition: Annotated[str | None, typer.Option(help="The first day of its slice; else the last demo one.")] = None,
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Try one group in seconds: features, fit and gate as the Spark jobs run them; nothing is written to a table."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    from muster.trial.observed import canonical_group, deliver_if_none, usual_partition
    from muster.trial.trial import try_group

    folder = settings().workloads
    found = find_workload(workload, folder)
    store = Store(settings().store_root, found.name)
    name = canonical_group(found, group)
    windows = partition_windows(found, partition or usual_partition(found, store))
    landed = deliver_if_none(found, folder, store)
    if landed:
        sys.stderr.write(f"landed {landed} files in {store.landing()}\n")
    started = perf_counter()
    trial = try_group(found, folder, store, windows, name)
    told = as_dict(trial) | {"seconds": perf_counter() - started}
    if format == "json":
        sys.stdout.write(json.dumps(told, indent=1, default=str, ensure_ascii=False) + "\n")
    else:
        from muster.cli.trial_view import view

        view(told, sys.stdout)
    if trial.training["state"] == "failed" or trial.point_in_time.leaks:
        raise typer.Exit(1)


def as_dict(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain values."""
    leaks = [asdict(leak) for leak in trial.point_in_time.leaks]
    return {
        "group": trial.group,
        "partition": trial.windows.key,
        "source": trial.observed.source,
        "observations": trial.observed.rows.num_rows,
        "refused": dict(trial.observed.refused),
        "windows": trial.rows(),
        "features": trial.summary(),
        "point_in_time": {"days": list(trial.point_in_time.days), "leaks": leaks},
        "training": trial.training,
        "fits": trial.fits,
        "failed_at": trial.failed_at,
        "decision": trial.decision,
    }
