"""What a backfill does next for one partition, from the runs that Airflow has of it; and how it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.airflow_runs import DagRun
from muster.backfill.stage_runs import StageRun
from muster.workload.stages import STAGE_NAMES, TRAINING

NEEDS = {"features": "ingest", "train": "features", "evaluate": "train", "promote": "evaluate", "score": "features"}
"""Stage -> the one without whose work it has nothing to do. A champion that scores is there without `promote`."""

BY_ITSELF = timedelta(seconds=60)
"""Within which Airflow has started a stage of whose asset there was an event; a second run would be of no harm."""


@dataclass(frozen=True)
class End:
    """How a stage of a partition has ended: done, skipped, failed, or missed, which is that it never began."""

    state: str
    why: str = ""


@dataclass(frozen=True)
class Wait:
    """A stage is at work, or is about to begin."""

    stage: str
    state: str


@dataclass(frozen=True)
class Start:
    """A stage is to be started: nothing else does it."""

    stage: str


@dataclass(frozen=True)
class Again:
    """A run of before is to run again: it failed, or was skipped since the backfill had been stopped."""

    stage: str
    run: DagRun
    only_failed: bool


@dataclass(frozen=True)
class Over:
    """Every stage that was asked for has ended."""

    ends: Mapping[str, End]


Step = Wait | Start | Again | Over


def next_step(stages: Sequence[str], runs: Mapping[str, StageRun], since: datetime, now: datetime) -> Step:
    """Return what is to be done for a partition: `since` is when the backfill began, or went on after it had ended.

    What failed before that is tried again, once; what failed since is left to a human.
    """
    ends: dict[str, End] = {}
    for stage in stages:
        one = runs.get(stage)
        if one is None and (kept := _not_trained(stage, ends)):
            ends[stage] = kept
        elif one is None:
            if why := _missed_because(stage, ends):
                ends[stage] = End("missed", why)
            elif (due := _due_by_itself(stage, stages, runs, ends)) and now < due:
                return Wait(stage, "is about to begin")
            else:
                return Start(stage)
        elif one.active:
            return Wait(stage, one.state)
        elif one.stopped or (one.state == "failed" and one.run.ended_at is not None and one.run.ended_at < since):
            return Again(stage, one.run, only_failed=not one.stopped)
        else:
            ends[stage] = End(one.state, one.why)
    return Over(ends)


def ends_of(stages: Sequence[str], runs: Mapping[str, StageRun], otherwise: str) -> dict[str, End]:
    """Return how each stage has ended, whoever looks and whenever: one without a run is missed, or has not ended."""
    ends: dict[str, End] = {}
    for stage in stages:
        one = runs.get(stage)
        if one is None:
            ends[stage] = _not_trained(stage, ends) or End("missed", _missed_because(stage, ends) or otherwise)
        elif one.active or one.stopped:
            ends[stage] = End("missed", f"its run {one.run.id} is {one.state}")
        else:
            ends[stage] = End(one.state, one.why)
    return ends


def _not_trained(stage: str, ends: Mapping[str, End]) -> End | None:
    """Return how a stage has ended that has nothing to do, since the partition was not to be trained."""
    train = ends.get("train")
    follows = stage in TRAINING[1:] and train is not None and train.state == "skipped"
    return End("skipped", train.why) if follows and train else None


def _missed_because(stage: str, ends: Mapping[str, End]) -> str | None:
    """Return why a stage has nothing to do: one before it failed, or one that it needs did nothing."""
    if failed := next((name for name, end in ends.items() if end.state == "failed"), None):
        return f"{failed} failed"
    needed = NEEDS.get(stage)
    while needed is not None:
        if (end := ends.get(needed)) and end.state != "done":
            return end.why if end.state == "missed" else f"{needed} was {end.state}"
        needed = NEEDS.get(needed)
    return None


def _due_by_itself(
    stage: str, stages: Sequence[str], runs: Mapping[str, StageRun], ends: Mapping[str, End]
) -> datetime | None:
    """Return until when Airflow may start a stage by an asset's event; None where no event can do it.

    The stage before in the line starts it. One that was skipped may have handed its partition on to `score`.
    """
    before = next((name for name in reversed(stages[: stages.index(stage)]) if name in runs), None)
    if before is None or (ended := runs[before].run.ended_at) is None:
        return None
    follows = STAGE_NAMES.index(stage) == STAGE_NAMES.index(before) + 1 and ends[before].state == "done"
    handed_on = stage == "score" and ends[before].state == "skipped"
    return ended + BY_ITSELF if follows or handed_on else None
