"""The tasks `degraded` and `drifted`: an event only of an alarm, for the next partition, and never a second one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muster_airflow.exceptions import NoAlarm, NoPartition
from muster_airflow.operators.announce import AnnounceOperator
from tests.plugins.airflow_task import WORKLOAD, context_of, run_of

PARTITION = "2024-02-05"
ALARMS = {
    "degraded": {
        PARTITION: {"count": 2, "all_together": False, "groups": ["a", "b"], "why": "'a': worse", "digest": "d1"}
    }
}


class Events(list[Any]):
    """The events of an asset."""

    def after(self, moment: str) -> Events:
        return self


class OutletEvent(SimpleNamespace):
    """What is to be told of an asset."""

    def add_partitions(self, key: str) -> None:
        self.keys = [*getattr(self, "keys", []), key]


def announce(workload: Path, alarms: Any, kind: str = "degraded", earlier: Any = (), **context: Any) -> Any:
    """Run the task; return what it told of its asset."""
    operator = AnnounceOperator(task_id=kind, kind=kind, workload=str(workload), result={"alarms": alarms})
    operator.outlets, operator.inlets = ["asset"], ["asset"]
    told = OutletEvent()
    events = Events(SimpleNamespace(extra=extra) for extra in earlier)
    operator.execute(
        {**context_of(PARTITION), "outlet_events": {"asset": told}, "inlet_events": {"asset": events}, **context}  # type: ignore[arg-type]
    )
    return told


def test_an_alarm_is_an_event_of_the_next_partition(workload: Path) -> None:
    told = announce(workload, ALARMS)
    assert told.keys == ["2024-02-12"]
    assert told.extra == {
        "count": 2,
        "groups": ["a", "b"],
        "why": "'a': worse",
        "partition": PARTITION,
        "announced": {PARTITION: "d1"},
    }


@pytest.mark.parametrize(("alarms", "kind"), [({}, "degraded"), (ALARMS, "drifted")])
def test_without_an_alarm_of_its_kind_the_task_is_skipped(workload: Path, alarms: Any, kind: str) -> None:
    with pytest.raises(NoAlarm, match=f"nothing is {kind}"):
        announce(workload, alarms, kind)


def test_what_was_announced_is_not_announced_again(workload: Path) -> None:
    earlier = [{}, None, {"announced": {PARTITION: "d1"}}]
    with pytest.raises(NoAlarm, match=r"announced before: 2024-02-05"):
        announce(workload, ALARMS, earlier=earlier)


def test_other_groups_are_another_alarm(workload: Path) -> None:
    assert announce(workload, ALARMS, earlier=[{"announced": {PARTITION: "d0"}}]).keys == ["2024-02-12"]


def test_alarms_of_earlier_partitions_are_one_event_of_this_ones_next(workload: Path) -> None:
    late = {"count": 1, "all_together": False, "groups": ["z", "a"], "why": "'z': worse", "digest": "d2"}
    told = announce(workload, {"degraded": {**ALARMS["degraded"], "2024-01-29": late}})
    assert (told.keys, told.extra["groups"], told.extra["partition"]) == (["2024-02-12"], ["a", "b", "z"], PARTITION)
    assert told.extra["announced"] == {PARTITION: "d1", "2024-01-29": "d2"}


def test_after_the_last_partition_nothing_is_to_be_trained(workload: Path) -> None:
    workload.write_text(WORKLOAD.replace("start: 2024-01-01", "start: 2024-01-01, end: 2024-02-05"), encoding="utf-8")
    with pytest.raises(NoAlarm, match=r"no partition after 2024-02-05 to train: schedule\.end is 2024-02-05"):
        announce(workload, ALARMS)


def test_a_backfill_announces_nothing(workload: Path) -> None:
    with pytest.raises(NoAlarm, match="2024-02-05 comes from a backfill"):
        announce(workload, ALARMS, dag_run=run_of("backfill__1"))


def test_a_run_without_a_partition_is_refused(workload: Path) -> None:
    with pytest.raises(NoPartition):
        announce(workload, ALARMS, partition_key=None)
