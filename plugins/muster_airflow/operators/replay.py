"""Posts events again, with their keys: for a stage that was paused when they came, or whose runs were deleted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from muster.errors import bounded
from muster.storage.results import PUT_OFF, stage_results
from muster.workload.load import load_workload
from muster.workload.stages import STAGES, leads_to
from muster_airflow.assets import ARRIVED, asset
from muster_airflow.backends.local import store_of
from muster_airflow.partition import check_partition
from muster_airflow.turn import is_paused

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

    from muster.storage.store import Store

MOST = 100
"""Partitions of one run: each starts a run of the stage, and of all after it."""


class CannotReplay(AirflowFailException):
    """Raised when what was asked cannot be posted; nothing was."""


class NothingPosted(AirflowSkipException):
    """Raised when a run was only to show what it would post, or nothing waits."""


class Waits(NamedTuple):
    """How a partition stands between a stage and the one before."""

    partition: str
    before: float | None
    """When the stage before came to its end, in seconds since 1970; of arrivals 0."""
    after: float | None
    """When the stage itself did."""

    @property
    def waits(self) -> bool:
        """Whether the stage before has ended, and the stage has not since."""
        return self.before is not None and (self.after is None or self.after < self.before)


class ReplayOperator(BaseOperator):
    """Post the events that start a stage once more, of partitions that are named, or of all that wait for it.

    :param workload: path of the workload's YAML file. (templated)
    :param stage: the stage that is to run. (templated)
    :param partitions: a JSON array of partitions; empty for those from `first` to `last`. (templated)
    :param first: the first of some; empty, with no partitions named, for all that wait. (templated)
    :param last: the last of them; empty for the first alone. (templated)
    :param why: why, for the events. (templated)
    :param who: who asks for it. (templated)
    :param dry_run: `true` shows what would be posted. (templated)
    """

    template_fields = ("workload", "stage", "partitions", "first", "last", "why", "who", "dry_run")
    ui_color = "#f3ead7"

    def __init__(
        self,
        *,
        workload: str,
        stage: str,
        partitions: str = "[]",
        first: str = "",
        last: str = "",
        why: str = "",
        who: str = "",
        dry_run: str = "true",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workload = workload
        self.stage = stage
        self.partitions = partitions
        self.first = first
        self.last = last
        self.why = why
        self.who = who
        self.dry_run = dry_run

    def execute(self, context: Context) -> dict[str, Any]:
        """Say what waits, and post.

        Raises:
            WrongPartition, CannotReplay: when something that is asked for is not there, or nothing would come of it.
            NothingPosted: in a dry run, or when nothing waits.
        """
        consumer, store = f"{Path(self.workload).stem}.{self.stage}", store_of(self.workload)
        known = {one.partition: one for one in self._known(store)}
        waiting = [name for name, one in known.items() if one.waits]
        self.log.info("Waits for %s: %s", consumer, bounded(waiting) or "nothing")
        chosen = self._chosen(waiting)
        self._check(chosen, [name for name in chosen if name in known and known[name].before is not None], consumer)
        again = [name for name in chosen if not known[name].waits]
        if again:
            self.log.info("%s has ended them already, and would run them again: %s", consumer, bounded(again))
        if self.dry_run == "true" or not chosen:
            self.log.info("Would post: %s", bounded(chosen) or "nothing")
            raise NothingPosted("dry run: nothing was posted" if chosen else f"nothing waits for {consumer}")
        if is_paused(context, consumer):
            raise CannotReplay(f"'{consumer}' is paused, so its events would be lost once more; unpause it, then retry")
        self._post(context, chosen, store)
        left = [name for name in waiting if name not in chosen]
        self.log.info("Posted: %s. Waits still, and was not asked for: %s", bounded(chosen), bounded(left) or "nothing")
        return {"posted": chosen, "waits_still": left}

    def _known(self, store: Store) -> list[Waits]:
        """Return how every partition stands that the stage before, or this one, has come to the end of, in order."""
        stage, after = self._before(), _ended(store, self.stage)
        before = _ended(store, stage) if stage else {}
        if not stage:  # what has arrived and was not ingested the task `watch` finds by itself
            before = dict.fromkeys(after, 0.0) | {name: 0.0 for name in self._named()}
        return [Waits(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys())]

    def _named(self) -> list[str]:
        named = [str(name) for name in json.loads(self.partitions)]
        if named or not self.first:
            return named
        every = timedelta(days=load_workload(Path(self.workload)).schedule.every)
        for end in filter(None, (self.first, self.last)):
            check_partition(self.workload, end, self.dag_id)
        day, last = date.fromisoformat(self.first), date.fromisoformat(self.last or self.first)
        while day <= last and len(named) <= MOST:
            named.append(str(day))
            day += every
        return named

    def _chosen(self, waiting: Sequence[str]) -> list[str]:
        named = sorted(set(self._named()))
        if not named:
            return list(waiting)
        for partition in named:
            check_partition(self.workload, partition, self.dag_id)
        return named

    def _check(self, chosen: Sequence[str], there: Sequence[str], consumer: str) -> None:
        if len(chosen) > MOST:
            raise CannotReplay(f"that is more than {MOST} partitions; name fewer, the oldest first")
        if self.stage == "ingest" and load_workload(Path(self.workload)).arrivals is None:
            raise CannotReplay(
                f"no event starts '{consumer}': trigger it with the partition key, or declare 'arrivals'"
            )
        if missing := [name for name in chosen if name not in there]:
            raise CannotReplay(
                f"{self._before()} has not ended {bounded(missing)}; run that first, {self.stage} follows it"
            )

    def _post(self, context: Context, chosen: Sequence[str], store: Store) -> None:
        of_backfill = [name for name in chosen if _by_backfill(store, name)]
        if of_backfill and len(of_backfill) < len(chosen):
            raise CannotReplay(f"{bounded(of_backfill)} come from a backfill, others do not; post them by themselves")
        posted = self._asset()
        # Of what a task declares, Airflow posts an event each; so it declares none, and only now the one that is meant.
        self.outlets = [posted]
        events = context["outlet_events"][posted]
        events.extra = {"replayed_by": self.who, "why": self.why, "backfill": bool(of_backfill)}
        events.partition_keys = dict.fromkeys(chosen)  # type: ignore[assignment]  # a set would lose their order

    def _before(self) -> str | None:
        """Return the stage whose asset starts this one; None of the first."""
        pairs = leads_to(load_workload(Path(self.workload)))
        return next((stage for stage, following in pairs if following == self.stage), None)

    def _asset(self) -> Asset:
        before = next((stage.writes for stage in STAGES if stage.name == self._before()), ARRIVED)
        return asset(load_workload(Path(self.workload)), before)


def _ended(store: Store, stage: str) -> dict[str, float]:
    """Return when each partition last came to a stage's end; an attempt that was put off did not."""
    ended: dict[str, float] = {}
    for result in sorted(stage_results(store, stage), key=lambda result: result.at):
        if PUT_OFF not in result.read():
            ended[result.partition] = result.at.timestamp()
    return ended


def _by_backfill(store: Store, partition: str) -> bool:
    """Tell whether the newest ingest of a partition was a backfill's, by the name of its attempt."""
    newest = max(stage_results(store, "ingest", partition), key=lambda result: result.at, default=None)
    return newest is not None and newest.of_backfill
