"""The observations of one group: from the table where it has the days, else from the landed files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.context import Context
from muster.errors import WrongArgument, bounded
from muster.ingest.landed_files import has_rows, landed_file
from muster.ingest.landing import land, landed_days
from muster.storage.evolution import check_observations
from muster.storage.row_filter import NotAGroup
from muster.storage.tables import observations_schema
from muster.trial.landed_rows import landed_group
from muster.workload.spec import Workload
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


class ParentGroup(WrongArgument):
    """Raised for a parent group: its rows are other groups'."""

    def __init__(self, group: str) -> None:
        super().__init__(f"'{group}' pools the rows of other groups; try one of those")


class NothingLanded(WrongArgument):
    """Raised when there is neither a table nor a landed file with the days to read."""

    def __init__(self, workload: str, days: DateRange, folder: str) -> None:
        super().__init__(f"{workload} has no data from {days.start} up to {days.stop}: nothing landed in '{folder}'")


@dataclass(frozen=True)
class GroupObservations:
    """The observations of one group, and where they were read."""

    rows: pa.Table
    source: str
    refused: Mapping[str, int] = field(default_factory=dict)
    """Rows that the checks refused, by reason; the table has none."""


def canonical_group(workload: Workload, text: str) -> str:
    """Return a group's canonical name from what a person typed.

    Raises:
        NotAGroup: when it has not one value a key.
        ParentGroup: when it is a parent's.
    """
    try:
        values = groups.values(text)
    except (csv.Error, StopIteration):
        values = ()
    if len(values) != len(workload.keys):
        raise NotAGroup(workload, text)
    if groups.WILDCARD in text.split(","):
        raise ParentGroup(text)
    return groups.name(values)


def land_if_empty(context: Context) -> int:
    """Land the workload's files where there is neither a file nor a table yet; return how many were written."""
    if landed_days(context.store) or context.store.open("observations") is not None:
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
    days = landed_days(store) | store.days("observations")
    if not days:
        raise NothingLanded(workload.name, DateRange(schedule.start, schedule.start), store.landing())
    first = slice_of(workload, max(days) + timedelta(days=1))
    return max(min(first, schedule.end or first), schedule.start)


def observe(context: Context, group: str, days: DateRange) -> GroupObservations:
    """Return the group's observations of `days`.

    The table answers when it has every landed day of them that has rows; else the landed files do, each row checked as
    ingest checks. Of a column that is so new that the table does not have it yet its rows have no value.

    Raises:
        OtherColumns, RequiredColumn: when ingest and features would refuse the table as it is declared now.
        UnknownGroup: naming the nearest groups that there are.
        NothingLanded: when no day of them is known.
        BadFile: for a landed file that ingest would refuse.
    """
    workload, store, all_days = context.workload, context.store, set(days.days())
    check_observations(workload, store.open("observations"))
    landed, in_table = landed_days(store) & all_days, store.days("observations") & all_days
    if not landed and not in_table:
        raise NothingLanded(workload.name, days, store.landing())
    # A day on which nothing happened has a file without rows, and nothing in the table.
    if in_table and not any(has_rows(workload, landed_file(context.store, day)) for day in sorted(landed - in_table)):
        return _from_table(context, group, days)
    checked = landed_group(context, sorted(landed), group)
    if checked.rows.num_rows == 0 and not checked.refused:
        raise UnknownGroup(workload.name, group, days, checked.groups)
    return GroupObservations(checked.rows, f"{len(landed)} landed files", checked.refused)


def _from_table(context: Context, group: str, days: DateRange) -> GroupObservations:
    workload, table = context.workload, context.store.open("observations")
    assert table is not None  # noqa: S101 - it was just seen to have days
    dataset = table.to_pyarrow_dataset()
    within = (pc.field("date") >= days.start) & (pc.field("date") < days.stop)
    rows = dataset.to_table(filter=within & (pc.field("group") == group))
    if rows.num_rows == 0:
        known = dataset.to_table(columns=["group"], filter=within)["group"].unique().to_pylist()
        raise UnknownGroup(workload.name, group, days, known)
    for column in observations_schema(workload):
        if column.name not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows, column.type))
    return GroupObservations(
        rows.select(observations_schema(workload).names), f"observations, version {table.version()}"
    )
