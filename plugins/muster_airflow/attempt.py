"""The name of a task's attempt: fit for a file's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context


def attempt_name(context: Context) -> str:
    """Name this attempt: who started the run if anyone did, the run, the try."""
    run = context["dag_run"]
    parts = [run.triggering_user_name, run.run_id, str(context["ti"].try_number)]
    return re.sub(r"[^\w.-]", "-", ".".join(filter(None, parts)))[-180:]
