"""A table's columns against those that are declared now: what is added by itself, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from muster.errors import MusterError, bounded
from muster.settings import command
from muster.storage.provenance import newest_facts
from muster.storage.store import Store
from muster.storage.tables import observations_schema, predictions_schema
from muster.workload.spec import Workload

if TYPE_CHECKING:
    from deltalake import DeltaTable


class OtherColumns(MusterError):
    """Raised when the rows of `observations` cannot be read as they are declared now."""

    def __init__(self, workload: Workload, problems: list[str]) -> None:
        super().__init__(
            f"{workload.name}: the rows in 'observations' are not as the columns are declared now: "
            f"{bounded(problems, 5)}; declare them as before, or have the rows rewritten: "
            f"{command('migrate')} {workload.name}"
        )


class RequiredColumn(MusterError):
    """Raised when a column is added that must have a value: the rows of before have none."""

    def __init__(self, workload: Workload, name: str) -> None:
        kind = workload.columns[name].type
        super().__init__(
            f"{workload.name}: the rows in 'observations' have no value of the new column '{name}'; "
            f"declare it as one that may be missing: '{kind}?'"
        )


class OtherZone(MusterError):
    """Raised when rows of `observations` were read in another time zone than is declared now."""

    def __init__(self, workload: Workload, days: Mapping[date, str | None]) -> None:
        then = ", ".join(sorted({zone or "UTC" for zone in days.values()}))
        super().__init__(
            f"{workload.name}: the rows in 'observations' of {bounded(map(str, sorted(days)), 3)} were read in the "
            f"zone {then}, and declared is {workload.zone or 'UTC'} now; declare it as before, or run ingest again, "
            "which reads the days of its windows anew where what was delivered is still there"
        )


ZONE = "zone"
"""Under this name a fact about a day of `observations` has the time zone that it was read in, if one was declared."""


def check_zone(workload: Workload, store: Store, days: Iterable[date]) -> None:
    """Check that rows of `observations` were read in the zone that is declared now.

    Raises:
        OtherZone: with those of the days that were not.
    """
    asked = store.days("observations").intersection(days)
    facts = newest_facts(store, "observations") if asked else {}
    zones = {day: facts[str(day)].made_from.get(ZONE) if str(day) in facts else None for day in asked}
    if other := {day: zone for day, zone in zones.items() if zone != workload.zone}:
        raise OtherZone(workload, other)


class OtherPredictions(MusterError):
    """Raised when the table of predictions does not take a column, as it has one of that name which is another."""

    def __init__(self, workload: Workload, problem: str, location: str) -> None:
        super().__init__(
            f"{workload.name}: the table of predictions has a column {problem}: declare it as before, or move "
            f"'{location}' away and score again"
        )


def check_predictions(workload: Workload, store: Store) -> None:
    """Check that the table takes the predictions of what is declared now.

    Raises:
        OtherPredictions: when a class or a declared column has other capitals than before, or another type.
    """
    table, location = store.open("predictions"), store.table("predictions")
    columns = {} if table is None else by_lower_case(column_types(table))
    for field in predictions_schema(workload):
        name, kind = columns.get(field.name.lower(), (field.name, field.type))
        if name != field.name:
            problem = f"'{name}', and would get '{field.name}'; capitals alone tell no two columns apart"
            raise OtherPredictions(workload, problem, location)
        if kind != field.type:
            problem = f"'{name}' of type {kind}, and would get it of type {field.type}"
            raise OtherPredictions(workload, problem, location)


def check_observations(workload: Workload, table: DeltaTable | None) -> None:
    """Check that the table takes rows of the declared columns, and that its rows can be read as them.

    A column that may be missing can be new: the rows of before have no value of it. One that is no longer declared
    stays in the table.

    Raises:
        RequiredColumn: when a new column must have a value.
        OtherColumns: when a column has another type, or its name other capitals: Delta tells names apart by more only.
    """
    if table is None:
        return
    check_new_columns(workload, table)
    columns = by_lower_case(column_types(table))
    problems = []
    for field in observations_schema(workload):
        name, kind = columns.get(field.name.lower(), (field.name, field.type))
        if name != field.name:
            problems.append(f"'{name}' has other capitals in the table than '{field.name}' declared")
        elif kind != field.type:
            problems.append(f"'{name}' is {kind} in the table, {field.type} declared")
    if problems:
        raise OtherColumns(workload, problems)


def check_new_columns(workload: Workload, table: DeltaTable) -> None:
    """Check that every column that the table has not yet may be missing.

    Raises:
        RequiredColumn: for the first that may not.
    """
    there = by_lower_case(column_types(table))
    for name, column in workload.columns.items():
        if name.lower() not in there and not column.optional:
            raise RequiredColumn(workload, name)


def by_lower_case(columns: Mapping[str, pa.DataType]) -> dict[str, tuple[str, pa.DataType]]:
    """Return each name in lower case, by which a Delta table knows it -> the name as it is written, and the type."""
    return {name.lower(): (name, kind) for name, kind in columns.items()}


def column_types(table: DeltaTable) -> dict[str, pa.DataType]:
    """Return the columns of a Delta table with their Arrow types."""
    return {field.name: field.type for field in pa.schema(table.schema().to_arrow())}
