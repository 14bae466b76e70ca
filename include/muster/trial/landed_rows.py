"""The checks of landed rows in pandas, for the rows of one group: the rules that `jobs/row_checks.py` has in Spark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from muster import groups
from muster.context import Context
from muster.ingest.landed_files import read_landed
from muster.storage.tables import observations_schema
from muster.workload.column import ColumnType
from muster.workload.spec import Workload

YES, NO = ("t", "true", "y", "yes", "1"), ("f", "false", "n", "no", "0")
"""What Spark reads as a boolean, whatever the case."""

DAY, LINE, GROUP = "(day)", "(line)", "(group)"
"""Columns beside the declared ones, under names that no column can have."""

Reasons = Iterator[tuple[str, "pd.Series[bool]"]]


@dataclass(frozen=True)
class LandedGroup:
    """The rows of one group as landed."""

    rows: pa.Table
    """The good ones, with the columns of `observations`."""
    refused: Mapping[str, int]
    """How many others, by reason."""


def landed_texts(context: Context, days: Iterable[date]) -> pd.DataFrame:
    """Read days' files: each row's day, line, group (missing where a key does not read), and declared columns as text.

    Raises:
        BadFile: for a file that is cut off, empty, or has other columns.
    """
    workload = context.workload
    with ThreadPoolExecutor() as pool:  # decompressing and parsing run outside Python's lock
        tables = list(pool.map(lambda day: read_landed(context, day), days))
    landed = pa.concat_tables(tables).combine_chunks()
    texts = pa.table({name: landed["landed"].chunk(0).field(name) for name in workload.columns})
    frame: pd.DataFrame = texts.to_pandas()
    frame[DAY] = pd.to_datetime(landed["day"].to_pandas())
    frame[LINE] = landed["line"].to_numpy()
    frame[GROUP] = _group_names(workload, frame)
    return frame


def check_rows(workload: Workload, texts: pd.DataFrame) -> LandedGroup:
    """Return the good rows among `texts` (rows of `landed_texts`), and why the others are refused.

    As in Spark the first reason of a row counts. Repeats are looked for among the rows given only.
    """
    texts = texts.sort_values([DAY, LINE], ignore_index=True)
    typed = pd.DataFrame({name: typed_values(texts[name], column.type) for name, column in workload.columns.items()})
    reason = pd.Series(None, index=texts.index, dtype=object)
    for text, wrong in _row_reasons(workload, texts, typed):
        reason = reason.where(reason.notna() | ~wrong.fillna(False).astype(bool), text)
    row_id = pd.Series(_names(typed, workload.unique), dtype=object)
    for text, wrong in _repeats(workload, texts[DAY], typed, row_id.where(reason.isna())):
        reason = reason.where(reason.notna() | ~wrong, text)
    good = reason.isna()
    accepted = typed[good].copy()
    accepted["group"], accepted["row_id"], accepted["date"] = texts.loc[good, GROUP], row_id[good], texts.loc[good, DAY]
    accepted["bucket"] = [groups.bucket(name, workload.features.buckets) for name in accepted["group"]]
    rows = pa.Table.from_pandas(accepted, schema=observations_schema(workload), preserve_index=False)
    return LandedGroup(rows, dict(Counter(reason[~good])))


def typed_values(text: pd.Series, kind: ColumnType) -> pd.Series:
    """Return texts as values of a declared type, null where one does not read as such; a float is finite."""
    match kind:
        case "string":
            return text
        case "int":
            whole = text.str.strip().str.fullmatch(r"[+-]?\d{1,18}", na=False).astype(bool)
            return pd.to_numeric(text.where(whole), dtype_backend="numpy_nullable").astype("Int64")
        case "float":
            value = pd.to_numeric(text, errors="coerce").astype("float64")
            return value.where(np.isfinite(value))
        case "bool":
            booleans = dict.fromkeys(YES, True) | dict.fromkeys(NO, False)
            return text.str.strip().str.lower().map(booleans).astype("boolean")
        case "date":
            return pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
        case "timestamp":
            # Where offsets are mixed, pandas takes a time without one to have the last one's: so each gets its own.
            zoned = text.str.strip().str.replace(r"^([\d-]+)$", r"\1T00:00", regex=True) + "Z"
            zoned = zoned.str.replace(r"(:\d\d:\S*(?:Z|[+-]\d\d(?::?\d\d)?))Z$", r"\1", regex=True)
            return pd.to_datetime(zoned, format="ISO8601", errors="coerce", utc=True)


def _row_reasons(workload: Workload, texts: pd.DataFrame, typed: pd.DataFrame) -> Reasons:
    """Yield each reason to refuse a row by itself, with the rows it holds for, in the order of the checks."""
    columns = workload.columns
    for name, column in columns.items():
        if not column.optional:
            yield f"{name}: missing", texts[name].isna()
    for name, column in columns.items():
        yield f"{name}: not of type {column.type}", texts[name].notna() & typed[name].isna()
    for name, column in columns.items():
        if column.low is not None:
            yield f"{name}: below {column.low:g}", typed[name] < column.low
        if column.high is not None:
            yield f"{name}: above {column.high:g}", typed[name] > column.high
    day = typed[workload.time].dt.tz_localize(None).dt.normalize()
    yield f"{workload.time}: not on the file's day", day != texts[DAY]
    for name, rule in workload.rules.items():
        left, right = (_comparable(typed[side], columns[side].type) for side in (rule.left, rule.right))
        yield name, ~rule.holds(left, right) & left.notna() & right.notna()


def _comparable(values: pd.Series, kind: ColumnType) -> pd.Series:
    """Return values as rules compare them: numbers as floats, times as floats of microseconds."""
    match kind:
        case "int" | "float":
            return values.astype("float64")
        case "timestamp" | "date":
            unzoned: pd.Series = values.dt.tz_localize(None).astype("datetime64[us]")
            since: pd.Series = unzoned.astype("int64").astype("float64")
            return since.where(values.notna())
        case "string" | "bool":
            return values


def _repeats(workload: Workload, day: pd.Series, typed: pd.DataFrame, row_id: pd.Series) -> Reasons:
    """Yield the rows that share a day and `unique` values: all where they differ elsewhere, else all but the first."""
    good = row_id.notna()
    keys = pd.DataFrame({DAY: day, GROUP: row_id})
    values = pd.concat([keys, typed], axis=1)
    shares = keys.duplicated(keep=False) & good
    kinds = values.drop_duplicates().groupby([DAY, GROUP]).size()
    several = pd.MultiIndex.from_frame(keys).isin(kinds[kinds > 1].index)
    yield f"another row has the same {', '.join(workload.unique)}, not the same values", shares & several
    yield "repeats a row", keys.duplicated() & good


def _group_names(workload: Workload, frame: pd.DataFrame) -> pd.Series:
    """Return each row's group: the distinct key texts are few, so only they are read and named."""
    keys = list(workload.keys)
    distinct = frame[keys].drop_duplicates()
    typed = pd.DataFrame({key: typed_values(distinct[key], workload.columns[key].type) for key in keys})
    readable = typed.notna().all(axis=1)
    named = distinct[readable].assign(**{GROUP: _names(typed[readable], keys)})
    group_names: pd.Series = frame[keys].merge(named, on=keys, how="left")[GROUP]
    return group_names


def _names(typed: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    """Return each row's canonical text of some columns."""
    records = typed[list(columns)].itertuples(index=False, name=None)
    return [groups.name([_text(value) for value in values]) for values in records]


def _text(value: object) -> str:
    """Return a value as Spark casts it to a string: dates and times without what is zero at their end."""
    if isinstance(value, pd.Timestamp):
        text = f"{value:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").removesuffix(".")
        return text if value.tzinfo else f"{value:%Y-%m-%d}"
    return str(value)
