"""The name of a task's attempt: fit for a file's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from muster.storage.results import UNPROMOTED
from muster_airflow.backfill import backfill_of

if TYPE_CHECKING:
    from airflow.sdk import Context


def attempt_name(context: Context) -> str:
    """Name this attempt: whether of a backfill that promotes nothing, who started the run if anyone did, the run, the
    try."""
    run, backfill = context["dag_run"], backfill_of(context)
    parts = [run.triggering_user_name, run.run_id, str(context["ti"].try_number)]
    name = re.sub(r"[^\w.-]", "-", ".".join(filter(None, parts)))[-180:]
    return f"{UNPROMOTED}.{name}" if backfill and not backfill.promote else name
