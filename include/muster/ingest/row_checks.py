"""The checks of rows, by column: what ingest runs in Spark's workers and `muster try` on the rows of one group."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster.context import Context
from muster.ingest.clocks import first_moments
from muster.ingest.names import buckets, names
from muster.ingest.repeats import repeats
from muster.ingest.row_ids import row_ids
from muster.ingest.sources.files import BadFile
from muster.ingest.sources.kind import Arrival, RowBlock
from muster.ingest.sources.kinds import complete_arrivals, source_of
from muster.ingest.typed import as_texts, skipped, typed
from muster.outcomes.weighted import is_weight
from muster.storage.tables import DATE, STRING, observations_schema
from muster.workload.column import ColumnType
from muster.workload.rule import Rule
from muster.workload.spec import Workload
from muster.workload.zone import A_DAY, day_range

Wrong = Iterator[tuple[str, np.ndarray]]
"""Reasons to refuse rows, each with the rows that it holds for."""

BAD_FILE = "(bad file)"
"""In place of a reason: not a row is refused, but all of the day."""

LONGEST_KEY = 1_000
"""Characters of a key that may name a group: it stands in every table, in logs, and in names of models and files."""


def checked_schema(workload: Workload) -> pa.Schema:
    """Return the columns of checked rows.

    `observation` has those of the table, so that no declared name is taken. A good row has no `reason`; another has the
    first one, its text as landed, and the name of its file.
    """
    observation = pa.struct(list(observations_schema(workload)))
    return pa.schema([("observation", observation), ("file", STRING), ("row", STRING), ("reason", STRING)])


def check_day(context: Context, day: date) -> pa.Table:
    """Return the rows of all that has arrived for a day as `checked_schema`.

    Raises:
        BadFile: when a part of it cannot be taken.
    """
    return check_arrival(context, complete_arrivals(context, {day})[day])


def check_arrival(context: Context, arrival: Arrival) -> pa.Table:
    """Return the rows of what has arrived for a day as `checked_schema`.

    Raises:
        BadFile: when a part of it cannot be taken.
    """
    return check_rows(context.workload, arrival.day, source_of(context).read(arrival))


def bad_file_row(workload: Workload, day: date, error: BadFile) -> pa.Table:
    """Return a row of `checked_schema` that says why a day cannot be taken: so a worker tells it to the driver."""
    row = {"observation": {"date": day}, "file": error.file, "row": error.problem, "reason": BAD_FILE}
    return pa.Table.from_pylist([row], checked_schema(workload))


def check_rows(workload: Workload, day: date, blocks: Iterable[RowBlock]) -> pa.Table:
    """Return a day's rows as `checked_schema`. A repeated row is looked for among those given."""
    schema = checked_schema(workload)
    taken: list[RowBlock] = []
    values, reasons = [], []
    for block in blocks:
        taken.append(block)
        values.append(typed_columns(workload, block.rows))
        reasons.append(own_reasons(workload, day, block.rows, values[-1]))
    ids = row_ids(workload, taken, values, reasons)
    observations = [_observations(workload, day, *row) for row in zip(values, ids, strict=True)]
    observed = pa.chunked_array(observations, schema.field("observation").type)
    reason = repeats(workload, observed, pa.chunked_array(reasons, STRING))
    files, rows = _refused(taken, reason, marked=workload.zone is not None)
    checked = pa.table([observed, files, rows, reason], schema=schema)
    return pa.concat_tables([checked, _misfits(workload, day, taken)])


def typed_columns(workload: Workload, rows: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return each declared column as values of its type; null where what has arrived does not read as one."""
    return {name: typed(rows[name], column.type, workload.zone) for name, column in workload.columns.items()}


def own_reasons(workload: Workload, day: date, rows: pa.RecordBatch, typed: Mapping[str, pa.Array]) -> pa.Array:
    """Return why each row is refused by itself, whatever the day's other rows are; null where it is not."""
    return _first_reasons(rows.num_rows, _reasons(workload, day, rows, typed))


def good_rows(workload: Workload, checked: pa.Table) -> pa.Table:
    """Return the good ones of checked rows, with the columns of `observations`."""
    good = checked["observation"].filter(pc.is_null(checked["reason"]))
    names = observations_schema(workload).names
    return pa.table([pc.struct_field(good, name) for name in names], schema=observations_schema(workload))


def group_names(workload: Workload, rows: pa.RecordBatch) -> pa.Array:
    """Return each row's group; null where a key does not read as its type."""
    return names([typed(rows[key], workload.columns[key].type) for key in workload.keys])


def _observations(workload: Workload, day: date, typed: Mapping[str, pa.Array], row_id: pa.Array) -> pa.StructArray:
    group = names([typed[key] for key in workload.keys])
    bucket = buckets(group, workload.features.buckets)
    own = [group, bucket, row_id, pa.repeat(pa.scalar(day, DATE), len(group))]
    return pa.StructArray.from_arrays([*typed.values(), *own], fields=list(observations_schema(workload)))


def _reasons(workload: Workload, day: date, rows: pa.RecordBatch, typed: Mapping[str, pa.Array]) -> Wrong:
    """Yield each reason to refuse a row by itself, in the order of the checks: the first one counts."""
    columns = workload.columns
    for name, column in columns.items():
        if not column.optional:
            yield f"{name}: missing", _mask(rows[name].is_null())
    if workload.zone is not None:
        for name in (name for name, column in columns.items() if column.type == "timestamp"):
            unread = _mask(pc.and_(rows[name].is_valid(), typed[name].is_null()))
            if unread.any():
                unread[unread] = _mask(skipped(rows[name].filter(pa.array(unread)), workload.zone))
            yield f"{name}: the clocks of {workload.zone} skip this time", unread
    for name, column in columns.items():
        yield f"{name}: not of type {column.type}", _mask(pc.and_(rows[name].is_valid(), typed[name].is_null()))
    for key in workload.keys:
        if columns[key].type == "string":
            yield f"{key}: a key with a NUL character", _mask(pc.match_substring(typed[key], "\0"))
            longer = pc.greater(pc.utf8_length(typed[key]), LONGEST_KEY)
            yield f"{key}: a key of more than {LONGEST_KEY:,} characters", _mask(longer)
        if columns[key].type == "int" and pa.types.is_string(rows[key].type):
            padded = pc.match_substring_regex(rows[key], r"^[\x00-\x20]*[+-]?0[0-9]")
            yield f"{key}: a key with leading zeros; declare it as string", _mask(padded)
    for name, column in columns.items():
        for word, limit, outside in (("below", column.low, operator.lt), ("above", column.high, operator.gt)):
            if limit is not None:
                yield f"{name}: {word} {_number(limit)}", _beyond(typed[name], limit, outside)
    if (among := workload.outcome.values) is not None:
        landed = typed[outcome := str(workload.outcome.column)]
        known = pc.is_in(landed, value_set=pa.array(among, landed.type))
        yield f"{outcome}: none of the declared classes", _mask(pc.and_(landed.is_valid(), pc.invert(known)))
    if (weight := workload.weight) is not None:
        numbers = typed[weight].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        yield (
            f"{weight}: no weight, which is a number above 0, 1e100 at most",
            _mask(typed[weight].is_valid()) & ~is_weight(numbers),
        )
    # A row of another day would be replaced with another day than its own.
    first, after = day_range(workload.zone, day, day)
    moment = typed[workload.time].cast(pa.int64())
    within = pc.and_(pc.greater_equal(moment, first), pc.less(moment, after))
    yield f"{workload.time}: not on the file's day", _mask(pc.invert(within))
    for name, rule in workload.rules.items():
        left, right = _comparable_sides(workload, rule, typed)
        both = _mask(pc.and_(typed[rule.left].is_valid(), typed[rule.right].is_valid()))
        yield name, both & ~np.asarray(rule.holds(left, right), dtype=bool)


def _first_reasons(rows: int, wrong: Wrong) -> pa.Array:
    numbers = np.full(rows, -1, np.int32)
    reasons: list[str] = []
    for reason, refused in wrong:
        numbers[(numbers < 0) & refused] = len(reasons)
        reasons.append(reason)
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=numbers < 0), reasons).cast(STRING)


def _mask(condition: pa.Array) -> np.ndarray:
    mask: np.ndarray = pc.fill_null(condition, False).to_numpy(zero_copy_only=False)
    return mask


def _comparable_sides(workload: Workload, rule: Rule, typed: Mapping[str, pa.Array]) -> Iterator[np.ndarray]:
    """Yield both sides of a rule; a date beside a time is the moment at which it begins."""
    kinds = [workload.columns[side].type for side in (rule.left, rule.right)]
    for side, kind in zip((rule.left, rule.right), kinds, strict=True):
        if workload.zone is not None and kind == "date" and "timestamp" in kinds:
            yield _comparable(first_moments(typed[side], workload.zone), "timestamp")
        else:
            yield _comparable(typed[side], kind)


def _comparable(values: pa.Array, kind: ColumnType) -> np.ndarray:
    """Return values as rules compare them, times and dates as microseconds; whatever where one is missing."""
    match kind:
        case "int" | "timestamp":
            values = values.cast(pa.int64()).fill_null(0)
        case "date":
            values = pc.multiply(values.cast(pa.int32()).cast(pa.int64()), A_DAY).fill_null(0)
    comparable: np.ndarray = values.to_numpy(zero_copy_only=False)
    return comparable


def _beyond(values: pa.Array, limit: int | float, outside: Callable[[Any, Any], Any]) -> np.ndarray:
    """Tell which values are beyond a limit: whole numbers are compared exactly; none that is missing is."""
    if isinstance(limit, int) and pa.types.is_integer(values.type):
        numbers = _comparable(values, "int")
    else:
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        return np.asarray(_mask(values.is_valid()) & outside(numbers, limit), dtype=bool)


def _number(limit: int | float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _refused(
    blocks: Sequence[RowBlock], reason: pa.ChunkedArray, marked: bool
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the file of each row with a reason, and its text as JSON by column; null for the others."""
    files, texts, at = [], [], 0
    for block in blocks:
        count = block.rows.num_rows
        refused = reason.slice(at, count).combine_chunks().is_valid()
        nothing = pa.nulls(count, STRING)
        if refused.true_count:
            rows = pa.array([_json(row) for row in as_texts(block.rows.filter(refused), marked).to_pylist()], STRING)
            texts.append(pc.replace_with_mask(nothing, refused, rows))
            files.append(pc.if_else(refused, pa.scalar(block.file, STRING), pa.scalar(None, STRING)))
        else:
            texts.append(nothing)
            files.append(nothing)
        at += count
    return pa.chunked_array(files, STRING), pa.chunked_array(texts, STRING)


def _misfits(workload: Workload, day: date, blocks: Sequence[RowBlock]) -> pa.Table:
    """Return lines that are no rows of these columns: of an observation they have the day only."""
    rows = [
        {"observation": {"date": day}, "file": block.file, "row": _json(line), "reason": reason}
        for block in blocks
        for reason, line in block.misfits
    ]
    return pa.Table.from_pylist(rows, checked_schema(workload))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
