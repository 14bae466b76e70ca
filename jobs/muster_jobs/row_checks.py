"""The checks of landed rows: each takes and returns the rows, and gives a bad row its reason; the first one counts.

A row is `landed` (its text, by declared column), `typed` (its values), `day`, `file`, `line`, and, from `identify` on,
`group`, `bucket`, `row_id`; `reason` is null for a good row. The declared columns lie within, so no name is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from muster.workload.column import ColumnType
from muster.workload.rule import MICROSECONDS
from muster.workload.spec import Workload
from muster_jobs import groups

SQL_TYPES: Mapping[ColumnType, str] = {
    "string": "string",
    "int": "bigint",
    "float": "double",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
Check = Callable[[Workload, DataFrame], DataFrame]


def cast(workload: Workload, rows: DataFrame) -> DataFrame:
    """Add the values as `typed`, null where the text does not read as the declared type."""
    values = [_value(F.col("landed")[name], column.type).alias(name) for name, column in workload.columns.items()]
    return rows.withColumns({"typed": F.struct(*values), "reason": F.lit(None).cast("string")})


def refuse_missing(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse a row without a value that it must have."""
    required = [name for name, column in workload.columns.items() if not column.optional]
    return _refuse(rows, {f"{name}: missing": F.col("landed")[name].isNull() for name in required})


def refuse_unreadable(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse a row with a value of another type than the declared one; a float is finite."""
    wrong = {
        f"{name}: not of type {column.type}": F.col("landed")[name].isNotNull() & F.col("typed")[name].isNull()
        for name, column in workload.columns.items()
    }
    return _refuse(rows, wrong)


def refuse_out_of_range(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse a row with a value outside its column's inclusive range."""
    wrong = {}
    for name, column in workload.columns.items():
        value = F.col("typed")[name]
        if column.low is not None:
            wrong[f"{name}: below {column.low:g}"] = value < column.low
        if column.high is not None:
            wrong[f"{name}: above {column.high:g}"] = value > column.high
    return _refuse(rows, wrong)


def refuse_other_days(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse a row whose time is not of the file's day: it would be replaced with another day than its own."""
    time = F.col("typed")[workload.time]
    return _refuse(rows, {f"{workload.time}: not on the file's day": F.to_date(time) != F.col("day")})


def refuse_broken_rules(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse a row for which a rule across columns does not hold; the rule's name is the reason."""
    columns, typed = workload.columns, F.col("typed")
    wrong = {
        name: ~rule.holds(
            *(_comparable(typed[side], columns[side].type) for side in (rule.left, rule.right)),
        )
        for name, rule in workload.rules.items()
    }
    return _refuse(rows, wrong)


def identify(workload: Workload, rows: DataFrame) -> DataFrame:
    """Add the row's group, bucket and row_id: the canonical text of its `unique` values."""
    value = F.col("typed")
    named = rows.withColumns(
        {
            "group": groups.name([value[key] for key in workload.keys]),
            "row_id": groups.name([value[name] for name in workload.unique]),
        }
    )
    return named.withColumn("bucket", groups.bucket(F.col("group"), workload.features.buckets))


def refuse_repeats(workload: Workload, rows: DataFrame) -> DataFrame:
    """Refuse all but the first of identical rows, and all of those that share `unique` values but differ elsewhere."""
    same_key = Window.partitionBy("day", "row_id", F.isnull("reason"))
    columns = ", ".join(workload.unique)
    differ = ~F.min("typed").over(same_key).eqNullSafe(F.max("typed").over(same_key))
    repeat = F.row_number().over(same_key.orderBy("line")) > 1
    return _refuse(rows, {f"another row has the same {columns}, not the same values": differ, "repeats a row": repeat})


CHECKS: tuple[Check, ...] = (
    cast,
    refuse_missing,
    refuse_unreadable,
    refuse_out_of_range,
    refuse_other_days,
    refuse_broken_rules,
    identify,
    refuse_repeats,
)


def _value(text: Column, kind: ColumnType) -> Column:
    value = text.try_cast(SQL_TYPES[kind])
    return F.when(F.abs(value) < float("inf"), value) if kind == "float" else value


def _comparable(value: Column, kind: ColumnType) -> Column:
    """Return values as rules compare them: numbers as doubles, times as doubles of microseconds."""
    match kind:
        case "int" | "float":
            return value.cast("double")
        case "timestamp":
            return F.unix_micros(value).cast("double")
        case "date":
            return F.unix_date(value).cast("double") * MICROSECONDS["d"]
        case "string" | "bool":
            return value


def _refuse(rows: DataFrame, wrong: Mapping[str, Column]) -> DataFrame:
    if not wrong:
        return rows
    reasons = [F.when(condition, F.lit(reason)) for reason, condition in wrong.items()]
    return rows.withColumn("reason", F.coalesce("reason", *reasons))
