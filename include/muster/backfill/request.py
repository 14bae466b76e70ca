"""What a backfill is asked to do: which partitions, which stages, and who answers where rows are scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from muster.errors import UnknownName, WrongArgument
from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES
from muster.workload.windows import partition_windows

DAG = "backfill"
"""The DAG of which each backfill is a run."""

EVENT = "backfill"
"""The key of a run's conf, and of an event's extra, under which the backfill stands."""

SKIPPED = "skipped_because"
"""The XCom of a task that was skipped: why, and whether since its backfill had been stopped."""

REPORT, PROBLEM = "report", "problem"
"""XComs of a backfill's task: what came of each partition and stage; or why it could not be begun."""

PROMOTE = "promote"
AS_OF, TODAY = "as-of", "today"
CHAMPIONS = (AS_OF, TODAY)
"""Who scores a slice: the champion of its own time, or the present one, which may have learnt from its rows."""

MANY = 1000
"""Partitions that nobody asks for by a slip of the keyboard."""


class RangeRefused(WrongArgument):
    """Raised for a range of partitions that cannot be meant."""


@dataclass(frozen=True)
class Request:
    """A backfill as it was asked for."""

    workload: str
    first: str
    last: str
    """The last partition, itself included."""
    stages: tuple[str, ...]
    """In the order of the line."""
    champion: str = AS_OF

    @property
    def promote(self) -> bool:
        """Whether winners become champions: only where that was said."""
        return PROMOTE in self.stages

    def dag(self, stage: str) -> str:
        """Return the DAG of a stage."""
        return f"{self.workload}.{stage}"

    def form(self) -> dict[str, Any]:
        """Return the request as the DAG's form has it."""
        about = {"workload": self.workload, "from": self.first, "to": self.last, "stages": list(self.stages)}
        return {**about, "champion": self.champion, "promote": self.promote, "dry_run": False}

    @classmethod
    def of_form(cls, form: Mapping[str, Any]) -> Request:
        """Return what a filled form asks for; its dates are not checked.

        Raises:
            UnknownName, WrongArgument: when a stage or a champion is none.
        """
        stages = chosen_stages(form.get("stages") or (), bool(form.get("promote")))
        champion = form.get("champion") or AS_OF
        if champion not in CHAMPIONS:
            raise UnknownName("champion", str(champion), CHAMPIONS)
        return cls(str(form.get("workload")), str(form.get("from")), str(form.get("to")), stages, str(champion))

    @classmethod
    def of_run(cls, form: Mapping[str, Any]) -> Request | None:
        """Return what a run of the DAG was asked for; None where that is a look only, or nothing that can be done."""
        try:
            return None if form.get("dry_run", True) else cls.of_form(form)
        except WrongArgument:
            return None

    def overlaps(self, other: Request) -> bool:
        """Tell whether two backfills would replace the same rows."""
        return self.workload == other.workload and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        return f"{self.workload} {self.first} to {self.last}"


def chosen_stages(names: Collection[str], promote: bool) -> tuple[str, ...]:
    """Return the stages that are asked for, in the order of the line; of none all, `promote` only where that is said.

    Raises:
        UnknownName: when one is no stage.
        WrongArgument: when `promote` is named and not asked for by its own option.
    """
    for name in names:
        if name not in STAGE_NAMES:
            raise UnknownName("stage", name, STAGE_NAMES)
    if PROMOTE in names and not promote:
        raise WrongArgument("the stage 'promote' moves champions; ask for it with --promote as well")
    wanted = {*(names or STAGE_NAMES)} - {PROMOTE} | ({PROMOTE} if promote else set())
    return tuple(stage for stage in STAGE_NAMES if stage in wanted)


def partitions_of(
    workload: Workload, first: str, last: str, *, many: bool = False, today: date | None = None
) -> list[str]:
    """Return the partitions from `first` to `last`, itself included, in order of time.

    Raises:
        NotAPartition: when either is no date, starts no slice, or lies outside the schedule.
        RangeRefused: when the range is reversed, ends in the future, or has a thousand partitions and not `many`.
    """
    begin, end = (partition_windows(workload, text).partition for text in (first, last))
    if end < begin:
        raise RangeRefused(f"the range from '{first}' to '{last}' is reversed; name the earlier partition first")
    every = timedelta(days=workload.schedule.every)
    if end + every > (today or datetime.now(UTC).date()):
        raise RangeRefused(f"the slice of partition '{last}' has not ended; a backfill is about those that have")
    count = (end - begin) // every + 1
    if count >= MANY and not many:
        raise RangeRefused(f"'{first}' to '{last}' are {count:,} partitions; where that is meant, add --yes")
    return [(begin + number * every).isoformat() for number in range(count)]


@dataclass(frozen=True)
class Backfill:
    """What every run of a backfill knows of it: handed from stage to stage with the asset's event."""

    id: str
    """The run of the DAG `backfill`; of a backfill of Airflow's own that of its first stage."""
    stages: Sequence[str] = STAGE_NAMES
    """Those that were asked for; others skip."""
    champion: str = AS_OF
    promote: bool = False
    who: str = ""
    followed: bool = True
    """Whether a run of the DAG `backfill` follows it: not one of Airflow's own."""

    @classmethod
    def of_request(cls, id: str, request: Request, who: str) -> Backfill:
        """Return the backfill that a run of the DAG `backfill` carries out."""
        return cls(id, request.stages, request.champion, request.promote, who)

    def as_conf(self) -> dict[str, Any]:
        """Return what its runs, and the events of their assets, carry."""
        return {**vars(self), "stages": list(self.stages)}

    @classmethod
    def of_conf(cls, conf: object) -> Backfill | None:
        """Return what a run or an event carries; None where that is nothing of a backfill.

        An event of an older Muster says only that there is one, and that is of Airflow's own.
        """
        if not isinstance(conf, Mapping):
            return cls("", followed=False) if conf else None
        known = {name: conf[name] for name in cls.__dataclass_fields__ if name in conf}
        return cls(**{"id": "", **known})
