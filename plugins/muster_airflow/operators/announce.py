"""Announces alarms of monitoring: one asset event for the next partition, each alarm once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from muster.errors import bounded
from muster.monitoring.announced import NAMED
from muster.workload.load import load_workload
from muster_airflow.backfill import backfill_of
from muster_airflow.exceptions import NoAlarm, NoPartition

if TYPE_CHECKING:
    from airflow.sdk import Context

REMEMBERED = timedelta(days=60)
"""For so long events are looked through for what was announced: `monitor` tells a week again at most."""


class AnnounceOperator(BaseOperator):
    """Update an asset where monitoring raised alarms that were not announced yet; else be skipped, and say why.

    The event's key is the next partition: its training window ends later, and reads no row of its own slice. Each alarm
    has a digest, which stands on the event: so a run that is cleared, or monitored again with the same result,
    announces nothing, nor does a backfill, and what an attempt that was killed had not announced, the next one does.

    :param kind: `degraded` or `drifted`.
    :param workload: path of the workload's YAML file. (templated)
    :param result: what the task `monitor` returned. (templated)
    """

    template_fields = ("workload", "result")
    ui_color = "#f7d9d9"

    def __init__(self, *, kind: str, workload: str, result: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.workload = workload
        self.result = result

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what is announced."""
        schedule = load_workload(Path(self.workload)).schedule
        if not (partition := context.get("partition_key")):
            raise NoPartition(self.dag_id, schedule.start)
        known = self._announced(context)
        of_kind: Mapping[str, Any] = self.result.get("alarms", {}).get(self.kind, {})
        new = {name: told for name, told in of_kind.items() if told["digest"] not in known}
        if not of_kind:
            raise NoAlarm(f"nothing is {self.kind}")
        if not new:
            raise NoAlarm(f"what is {self.kind} was announced before: {bounded(of_kind)}")
        key = date.fromisoformat(str(partition)) + timedelta(days=schedule.every)
        if schedule.end is not None and key > schedule.end:
            raise NoAlarm(f"there is no partition after {partition} to train: schedule.end is {schedule.end}")
        if backfill_of(context) is not None:
            raise NoAlarm(f"{partition} comes from a backfill: what was {self.kind} then starts no training now")
        event = _together(new)
        self.log.warning("%s: %s", self.kind, event["why"])
        for asset in self.outlets:
            context["outlet_events"][asset].add_partitions(key.isoformat())
            context["outlet_events"][asset].extra = event
        return event

    def _announced(self, context: Context) -> set[str]:
        """Return the digests of what was announced; an event that somebody posted has none."""
        since = (datetime.now(UTC) - REMEMBERED).isoformat()
        events = context["inlet_events"][self.inlets[0]].after(since)
        return {str(digest) for event in events for digest in (event.extra or {}).get("announced", {}).values()}


def _together(new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event says of the alarms of some partitions, the latest first."""
    latest = max(new)
    groups = [group for name in sorted(new, reverse=True) for group in new[name]["groups"]]
    return {
        "count": max(told["count"] for told in new.values()),
        "groups": list(dict.fromkeys(groups))[:NAMED],
        "why": new[latest]["why"],
        "partition": latest,
        "announced": {name: new[name]["digest"] for name in sorted(new)},
    }
