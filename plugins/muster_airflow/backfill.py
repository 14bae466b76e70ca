"""What a run knows of the backfill that caused it, if one did: whether its stage was asked for, and may promote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from muster.backfill.request import DAG, EVENT, Backfill
from muster.workload.stages import STAGE_NAMES

if TYPE_CHECKING:
    from airflow.sdk import Context

PREFIX = "backfill__"
"""How Airflow names the runs of a backfill of its own; it lets no other run have such a name."""

ALLOW = "allow_backfill"
"""The param by which a named human lets a backfilled partition be promoted."""


class BackfillRefused(AirflowSkipException):
    """Raised when a run that a backfill caused would move the champion."""

    def __init__(self, partition: str) -> None:
        super().__init__(
            f"partition {partition} comes from a backfill and is not promoted; "
            f"to promote it, trigger this DAG by hand with partition key {partition} and '{ALLOW}' set"
        )


class NotAsked(AirflowSkipException):
    """Raised when a stage begins that its backfill was not asked for."""

    def __init__(self, stage: str, backfill: Backfill) -> None:
        how = "it was asked for without --promote" if stage == "promote" else f"stages: {', '.join(backfill.stages)}"
        super().__init__(f"backfill {backfill.id} does not ask for '{stage}': {how}")


class BackfillStopped(AirflowSkipException):
    """Raised when a stage begins whose backfill was stopped meanwhile."""

    def __init__(self, backfill: Backfill) -> None:
        super().__init__(
            f"backfill {backfill.id} was stopped, or has failed, so it begins nothing more; to go on, clear that run "
            f"of the DAG '{DAG}', or give the same command again"
        )


def backfill_of(context: Context) -> Backfill | None:
    """Return the backfill that this run, or any run up the line that led to it, belongs to; None where none does.

    A run that an asset event starts does not tell by itself, and its source tells only of the last stage: so every
    event carries the word on.
    """
    run = context["dag_run"]
    if found := Backfill.of_conf((run.conf or {}).get(EVENT)):
        return found
    if run.run_id.startswith(PREFIX):
        return Backfill(run.run_id, followed=False)
    return next((found for found in _of_events(context) if found), None)


def followed_backfill(context: Context) -> Backfill | None:
    """Return the backfill that alone caused this run, and is followed by a run of the DAG `backfill`.

    None where a run is a live one's as well: Airflow starts one for all events of a partition that it finds at once.
    """
    backfill = backfill_of(context)
    return backfill if backfill and backfill.followed and all(_of_events(context)) else None


def _of_events(context: Context) -> Iterator[Backfill | None]:
    for event in (event for of_asset in context["triggering_asset_events"].values() for event in of_asset):
        source = event.source_run_id or ""
        of_airflow = Backfill(source, followed=False) if source.startswith(PREFIX) else None
        yield Backfill.of_conf((event.extra or {}).get(EVENT)) or of_airflow


def carried_on(context: Context) -> dict[str, Any] | bool:
    """Return what a stage's event says of its backfill, so that the next stage knows it."""
    backfill = backfill_of(context)
    return backfill.as_conf() if backfill else False


def check_asked(context: Context, stage: str) -> None:
    """Skip a stage that its backfill did not ask for, or whose backfill was stopped.

    What a human has cleared runs all the same.

    Raises:
        NotAsked, BackfillStopped: with what to do.
    """
    backfill = followed_backfill(context)
    if backfill is None or stage not in STAGE_NAMES:
        return
    if stage not in backfill.stages:
        raise NotAsked(stage, backfill)
    if not context["dag_run"].clear_number and context["ti"].get_dr_count(
        DAG, run_ids=[backfill.id], states=["failed"]
    ):
        raise BackfillStopped(backfill)


def refuse_backfill(context: Context) -> None:
    """Skip the task when a backfill caused it, unless that was asked to promote, or its param allows it.

    Raises:
        BackfillRefused: with what to do.
    """
    backfill = backfill_of(context)
    if backfill and not backfill.promote and not context["params"].get(ALLOW):
        raise BackfillRefused(str(context.get("partition_key")))
