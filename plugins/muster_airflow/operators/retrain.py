"""Decides whether a partition is trained, and says so: by its cadence, an event, or a human."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.branch import BaseBranchOperator

from muster.backfill.request import EVENT, SKIPPED
from muster.workload.load import load_workload
from muster.workload.retrain import EVENTS
from muster_airflow.attempt import attempt_name
from muster_airflow.backends.local import store_of
from muster_airflow.backfill import carried_on, check_asked, followed_backfill
from muster_airflow.exceptions import NoPartition
from muster_airflow.skips import saying_why

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.training.cadence import Asked

WHY = "why"
"""The XCom that says why a partition is trained, or not."""


class DecideOperator(BaseBranchOperator):
    """Choose the task `train`, or `keep_champion` where the partition is not to be trained; say why.

    An event that trains nothing leaves both out: the partition was scored already.

    :param workload: path of the workload's YAML file. (templated)
    """

    template_fields = ("workload",)
    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workload = workload

    def choose_branch(self, context: Context) -> str | Iterable[str]:
        """Return the task to go on with.

        Raises:
            NotAsked, BackfillStopped: when a backfill caused this run that does not ask for training.
        """
        with saying_why(self, context):
            check_asked(context, "train")
        from muster.training.cadence import DECISIONS, decide, trained_around  # not while DAGs are parsed

        workload, store = load_workload(Path(self.workload)), store_of(self.workload)
        partition = context.get("partition_key")
        if not partition:
            raise NoPartition(self.dag_id, workload.schedule.start)
        retrain, day = workload.retrain, date.fromisoformat(str(partition))
        assert retrain is not None  # noqa: S101 - the DAG has this task only where it is declared
        asked, due = asked_by(context, workload.name)
        of_backfill = followed_backfill(context) is not None
        trained = trained_around(store, day, of_backfill=of_backfill)
        if of_backfill:  # which goes on in order of time, whatever came later
            trained = replace(trained, after=None)
        decision = decide(retrain, workload.schedule.every, day, trained, asked, of_events=not due)
        self.log.info("%s: %s", "trained" if decision.train else "not trained", decision.why)
        context["ti"].xcom_push(WHY, decision.why)
        told = {"train": decision.train, "why": decision.why, "cause": decision.cause}
        path = f"{store.results(DECISIONS)}/{partition}-{attempt_name(context)}.json"
        store.files.put(path, json.dumps(told).encode())
        if decision.train:
            return "train"
        context["ti"].xcom_push(SKIPPED, {"why": decision.why, "stopped": False})
        return "keep_champion" if due else []


class KeepChampionOperator(BaseOperator):
    """Say that a partition is not trained: the event of its outlet has the partition as its key, and why.

    :param why: why it is not. (templated)
    """

    template_fields = ("why",)
    ui_color = "#dcefdc"

    def __init__(self, *, why: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.why = why

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what the event says."""
        said = {WHY: self.why, EVENT: carried_on(context)}
        for asset in self.outlets:
            context["outlet_events"][asset].extra = said
        return said


def asked_by(context: Context, workload: str) -> tuple[list[Asked], bool]:
    """Return what asks for a training off the cadence, and whether the run is the partition's own: not of events."""
    from muster.training.cadence import Asked

    events = [(key.name, event) for key, own in context["triggering_asset_events"].items() for event in own]
    backfill = followed_backfill(context)
    if not events and backfill is not None:  # of a whole line its cadence decides; training alone is somebody's word
        return [] if "features" in backfill.stages else [Asked("by_hand", who=backfill.who)], True
    if not events:
        return [Asked("by_hand", who=context["dag_run"].triggering_user_name or "")], True
    asked = []
    for name, event in events:
        cause = next((cause for cause in EVENTS if name == f"{workload}.{cause}"), None)
        if cause is not None:
            asked.append(Asked.by_event(cause, event.extra or {}, event.timestamp))
    return asked, len(asked) < len(events)
