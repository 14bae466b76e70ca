"""The task `watch`: it alone decides which partitions of what has arrived are to be ingested, and says so once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from muster.errors import MusterError, bounded
from muster.settings import settings
from muster_airflow.announced import Announced, Said
from muster_airflow.backends.local import store_of
from muster_airflow.correction import NEWS
from muster_airflow.exceptions import SourceRefused
from muster_airflow.hooks.database import database_known
from muster_airflow.turn import is_paused

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

    from muster.ingest.news import News

MOST = 50
"""Partitions of one run: the next run goes on. What is said of them all stands on each of their events."""

MOST_DAYS = 31
"""Days of a partition that an event names."""


class NothingNew(AirflowSkipException):
    """Raised when nothing is to be ingested, so that no event is posted; says why what is new has to wait."""


class WatchOperator(BaseOperator):
    """Post an event, with its key, for each partition that has arrived or was corrected; each of them once.

    It looks twice, since a file that is being written is another at each look; between the looks it holds no slot.
    Its events are written together with its success or not at all, and what it remembers counts with them
    (`Announced`): whatever is killed, nothing is lost and nothing is said twice. A partition whose run has failed is
    not announced again, unless its data are other ones by then. While the DAG `ingest` is paused nothing is announced.

    :param workload: path of the workload's YAML file.
    :param arrived: the asset whose events start `ingest`.
    :param pause: seconds between the two looks.
    """

    def __init__(self, *, workload: str, arrived: Asset, pause: float, **kwargs: Any) -> None:
        super().__init__(outlets=[arrived], **kwargs)
        self.workload = workload
        self.arrived = arrived
        self.pause = pause

    def execute(self, context: Context) -> None:
        """Look for the first time, and come back where there is anything new.

        Raises:
            TaskDeferred: which is how Airflow takes the slot back.
            NothingNew: when there is nothing.
        """
        self._tell_of_older()
        found = self._look()
        if not found:
            raise NothingNew("nothing is new")
        trigger = TimeDeltaTrigger(timedelta(seconds=self.pause))
        seen = {one.partition + one.cause: one.state for one in found}
        raise TaskDeferred(trigger=trigger, method_name="announce", kwargs={"seen": seen})

    def announce(self, context: Context, event: Any, seen: Mapping[str, str]) -> dict[str, Any]:
        """Look again, and post events of what is the same and was not announced.

        Raises:
            NothingNew: when nothing is left.
        """
        found = self._look()
        settled = [one for one in found if seen.get(one.partition + one.cause) == one.state]
        if changing := [one.partition for one in found if one not in settled]:
            self.log.info("Still changing, looked at again later: %s", bounded(changing))
        announced = Announced(store_of(self.workload))
        last = announced.last(context)
        chosen = self._unannounced(context, settled, announced, last)[:MOST]
        if not chosen:
            raise NothingNew("nothing is new that was not announced")
        announced.write(last, chosen, context["dag_run"].run_id)
        told = {one.partition: _told(one) for one in chosen}
        events = context["outlet_events"][self.arrived]
        events.extra = {NEWS: told}
        events.partition_keys = dict.fromkeys(told)  # type: ignore[assignment]  # a set would lose their order
        for partition, one in told.items():
            self.log.info("Announced %s: %s of %s", partition, one["cause"], bounded(one["days"]) or "all its days")
        return told

    def _unannounced(
        self, context: Context, settled: Sequence[News], announced: Announced, last: Mapping[str, Said]
    ) -> list[News]:
        """Return what nobody was told yet; of a partition that is to run anyhow, only once that run has ended."""
        if not settled:
            return []
        ingest = f"{Path(self.workload).stem}.ingest"
        if is_paused(context, ingest):
            waits = bounded(one.partition for one in settled)
            self.log.warning("%s is paused; it waits for %s: unpause it, and they are announced", ingest, waits)
            return []
        at_work = context["ti"].get_dr_count(ingest, states=["queued", "running"]) > 0
        chosen = []
        for one in settled:
            said = last.get(one.partition)
            if said is None or announced.is_spent(one.partition, said):
                chosen.append(one)
            elif (said.cause, said.state) == (one.cause, one.state):
                self.log.info("%s was announced at %s, and its ingest has not ended since", one.partition, said.at)
            elif at_work:
                self.log.info("%s is to run anyhow; looked at again once %s is idle", one.partition, ingest)
            else:
                chosen.append(one)
        return chosen

    def _look(self) -> list[News]:
        from muster.context import Context as WorkloadContext  # not while DAGs are parsed
        from muster.ingest.news import news

        try:
            with database_known(Path(self.workload)):
                return news(WorkloadContext.of_file(Path(self.workload), settings()))
        except (MusterError, OSError) as error:
            if not getattr(error, "retryable", True):
                raise SourceRefused(str(error)) from error
            raise

    def _tell_of_older(self) -> None:
        """Name the days that have changed before what any stage looks at: nobody acts on them."""
        from muster.context import Context as WorkloadContext
        from muster.ingest.news import changed_before

        try:
            with database_known(Path(self.workload)):
                older = changed_before(WorkloadContext.of_file(Path(self.workload), settings()))
        except (MusterError, OSError):
            return  # the looks say why
        if older:
            self.log.warning(
                "Changed since they were ingested, and older than what the newest partition looks at, so left as they "
                "are: %s; to take them, trigger ingest with the keys of their partitions",
                bounded(older),
            )


def _told(one: News) -> dict[str, Any]:
    days = [str(day) for day in one.days[:MOST_DAYS]]
    return {"cause": one.cause, "state": one.state, "days": days, "count": len(one.days)}
