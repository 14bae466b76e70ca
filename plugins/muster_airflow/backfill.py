"""Whether a run was caused by a backfill: what happened long ago must not become champion by accident."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

PREFIX = "backfill__"
"""How Airflow names the runs of a backfill."""

ALLOW = "allow_backfill"
"""The param by which a named human lets a backfilled partition be promoted."""


class BackfillRefused(AirflowSkipException):
    """Raised when a run that a backfill caused would move the champion."""

    def __init__(self, partition: str) -> None:
        super().__init__(
            f"partition {partition} comes from a backfill and is not promoted; "
            f"to promote it, trigger this DAG by hand with partition key {partition} and '{ALLOW}' set"
        )


def comes_from_backfill(context: Context) -> bool:
    """Say whether this run, or any run up the line that led to it, belongs to a backfill.

    A run that an asset event starts does not tell by itself, and its source tells only of the last stage: so every
    event carries the word on.
    """
    if context["dag_run"].run_id.startswith(PREFIX):
        return True
    events = [event for of_asset in context["triggering_asset_events"].values() for event in of_asset]
    return any((event.source_run_id or "").startswith(PREFIX) or event.extra.get("backfill") for event in events)


def refuse_backfill(context: Context) -> None:
    """Skip the task when a backfill caused it and its param does not allow that.

    Raises:
        BackfillRefused: with what to do.
    """
    if comes_from_backfill(context) and not context["params"].get(ALLOW):
        refused = BackfillRefused(str(context.get("partition_key")))
        log.warning("%s", refused)  # Airflow's own line says only that the task was skipped
        raise refused
