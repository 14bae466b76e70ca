"""The observations of one group: from the table, and from the landed files that ingest has not brought yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from muster import groups
from muster.context import Context
from muster.errors import WrongArgument, bounded
from muster.features.slices import OtherFeatures, check_columns
from muster.ingest.due_days import not_brought
from muster.ingest.landing import land
from muster.ingest.sources.kind import Arrival, PassedOver, Source, begun_without
from muster.ingest.sources.kinds import source_of
from muster.printable import number
from muster.storage.evolution import check_observations, check_zone
from muster.storage.provenance import newest_facts
from muster.trial.landed_rows import landed_group, landed_groups
from muster.trial.table_rows import table_group, table_groups
from muster.workload.windows import DateRange, slice_of


class UnknownGroup(WrongArgument):
    """Raised when the rows that were read hold no row of a group."""

    def __init__(self, workload: str, group: str, days: DateRange, known: Iterable[str]) -> None:
        names = sorted(known)
        near = groups.nearest(group, names) or names
        nearest = bounded((f"'{name}'" for name in near), shown=5) or "none"
        super().__init__(
            f"no row of group '{group}' in {workload} from {days.start} up to {days.stop}; "
            f"of {len(names)} groups the nearest are: {nearest}"
        )


class NothingLanded(WrongArgument):
    """Raised when there is neither a table nor a landed file with the days to read."""

    def __init__(self, workload: str, days: DateRange, source: Source, begun: Iterable[Arrival] = ()) -> None:
        incomplete = begun_without(arrival.lacks for arrival in begun)
        super().__init__(
            f"{workload} has no data from {days.start} up to {days.stop}: nothing landed in '{source.place}', "
            f"where a day is {source.named_as}{source.passed_over()}{incomplete}"
        )


@dataclass(frozen=True)
class GroupObservations:
    """The observations of one group, and where they were read."""

    rows: pa.Table
    source: str
    refused: Mapping[str, int] = field(default_factory=dict)
    """Rows that the checks refused, by reason; the table has none."""
    delivered_again: tuple[date, ...] = ()
    """Days whose file is another than the one that was ingested: it was read, not the table."""
    not_landed: tuple[date, ...] = ()
    """Days of which nothing is known."""
    next_run_fails: str | None = None
    """Why `features` will fail, though the group can be tried: its table has other columns."""
    to_ingest: Mapping[date, Arrival] = field(default_factory=dict)
    """Days that no ingest has brought as they are now: these were read of the source, all others of the table."""
    misnamed: PassedOver = field(default_factory=PassedOver)
    """Where there are such days: what lies beside them, and is no day's by its name."""


def land_if_empty(context: Context) -> int:
    """Land the workload's files, if it can, where there is neither a file nor a table yet; return how many."""
    if not context.workload.landing or context.store.open("observations") is not None or source_of(context).days():
        return 0
    return land(context).written


def default_partition(context: Context) -> date:
    """Return the partition to try when none is named: the last that `./muster up` runs, else the latest with its data.

    Raises:
        NothingLanded: when the workload names none and no day is known.
    """
    workload, store, schedule = context.workload, context.store, context.workload.schedule
    if schedule.demo:
        return schedule.demo[-1]
    days = store.days("observations") or source_of(context).days()
    if not days:
        raise NothingLanded(workload.name, DateRange(schedule.start, schedule.start), source_of(context))
    first = slice_of(workload, max(days) + timedelta(days=1))
    return max(min(first, schedule.end or first), schedule.start)


def observe(context: Context, group: str, days: DateRange) -> GroupObservations:
    """Return the group's observations of `days`, as they are once ingest has run again.

    A landed file that no ingest has brought as it is now is read, each row checked as ingest checks; of all other days
    the table answers.

    Raises:
        OtherColumns, RequiredColumn, OtherZone: when ingest and features would refuse the table as it is declared now.
        UnknownGroup: naming the nearest groups that there are.
        NothingLanded: when no day of them is known.
        BadFile, TooManyRefused: for a landed file that ingest would refuse.
    """
    workload, store, wanted = context.workload, context.store, set(days.days())
    table = store.open("observations")
    check_observations(workload, table)
    arrived, ingested = source_of(context).arrived(wanted), store.days("observations") & wanted
    landed = {day: arrival for day, arrival in arrived.items() if arrival.lacks is None}
    if not landed and not ingested:
        raise NothingLanded(workload.name, days, source_of(context), arrived.values())
    to_ingest = {day: landed[day] for day in not_brought(context, landed)}
    checked = landed_group(context, to_ingest, group)
    rows, from_table = [checked.rows], ingested - set(to_ingest)
    check_zone(workload, store, from_table)
    if table is not None and from_table:
        rows.append(table_group(workload, table, from_table, group))
    observed = pa.concat_tables(rows)
    if observed.num_rows == 0 and not checked.refused:
        known = table_groups(workload, table, from_table) if table is not None else set()
        raise UnknownGroup(workload.name, group, days, known | landed_groups(context, to_ingest.values()))
    brought_once = ingested | {date.fromisoformat(day) for day in newest_facts(store, "observations")}
    sources = [f"observations, version {table.version()}"] if table is not None and from_table else []
    files = sum(len(arrival.parts) for arrival in to_ingest.values())
    sources += [number(files, source_of(context).part)] if to_ingest else []
    not_landed = tuple(sorted(wanted - landed.keys() - brought_once))
    return GroupObservations(
        rows=observed,
        source=", and ".join(sources),
        refused=checked.refused,
        delivered_again=tuple(day for day in to_ingest if day in brought_once),
        not_landed=not_landed,
        next_run_fails=_next_run_fails(context),
        to_ingest=to_ingest,
        misnamed=source_of(context).passed_over() if not_landed else PassedOver(),
    )


def _next_run_fails(context: Context) -> str | None:
    try:
        check_columns(context)
    except OtherFeatures as error:
        return str(error)
    return None
