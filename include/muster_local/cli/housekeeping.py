"""`./muster housekeeping`: that of the wheel, and the logs of this home's services besides."""

from __future__ import annotations

import typer

from muster.cli import housekeeping as of_the_wheel
from muster.cli.housekeeping import DRY_RUN, WORKLOAD


def housekeeping(workload: WORKLOAD, dry_run: DRY_RUN = False) -> None:
    """Remove old versions of tables, packs and models that nobody needs any more, results, and logs of this home."""
    from datetime import timedelta

    from muster.settings import settings
    from muster.workload.load import find_workload
    from muster_local.old_logs import remove_old_logs

    of_the_wheel.housekeeping(workload, dry_run)
    declared = find_workload(workload, settings().workloads).housekeeping
    count, size = remove_old_logs(settings().home.resolve(), timedelta(days=declared.log_days), dry_run)
    if count:
        verb = "would be removed" if dry_run else "removed"
        typer.echo(f"{count:,} logs of services, {size:,} bytes, {verb}: older than {declared.log_days} days")
