"""Compute features: the workload's one function, checked, the same for train, evaluate and score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from muster import groups
from muster.errors import MusterError, bounded
from muster.outcomes.kinds import kind_of
from muster.outcomes.weighted import is_weight
from muster.storage.tables import FEATURE_ERROR, RESAMPLE_BY, SAMPLE_WEIGHT, features_schema, observations_schema
from muster.workload.spec import Parent, Workload
from muster.workload.windows import DateRange

DTYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
"""What the function sees of these types, whether or not a value is missing among the rows that it happens to get."""

FeatureFunction = Callable[[pd.DataFrame], pd.DataFrame]
PARENT_COLUMN = "parent_name"
"""The column, on the way into the table, that names the parent of a row's group."""


class BadFeatures(MusterError):
    """Raised when a workload's feature function does not return what its YAML declares."""

    def __init__(self, workload: Workload, problem: str) -> None:
        super().__init__(f"feature function '{workload.features.function}' of {workload.name}: {problem}")


def compute(workload: Workload, function: FeatureFunction, rows: pa.Table, days: DateRange) -> pa.Table:
    """Return the feature rows of `days` from `rows` of `observations`: whole groups, the lookback's days included.

    The result has the columns of `features` but `partition` and `bucket`, sorted by group, time and row_id. Infinite
    values are kept: training records such a group as failed, where dropping them would hide it.

    A row whose weight is none, as ingest let in before the weight was declared, is left out before the function sees
    it, as ingest would refuse it now. Without a row there is nothing to ask the function for.

    Raises:
        BadFeatures: when the function's result lacks or adds a column or a row, or holds other than numbers.
    """
    if workload.weight is not None:
        weights = rows[workload.weight].cast(pa.float64(), safe=False).to_numpy()
        rows = rows.filter(pa.array(is_weight(weights)))
    if rows.num_rows == 0:
        return row_schema(workload).empty_table()
    observed = _labelled_frame(workload, rows)
    values = _checked_result(workload, function(observed.copy()), observed)
    within = (observed["date"] >= pd.Timestamp(days.start)) & (observed["date"] < pd.Timestamp(days.stop))
    features = pd.DataFrame(
        {
            "group": observed["group"],
            "parent": False,
            "row_id": observed["row_id"],
            "time": observed[workload.time],
            "date": observed["date"],
            **_carried(workload, observed),
            "label": observed["label"],
            **values,
            FEATURE_ERROR: None,
        }
    )[within]
    return pa.Table.from_pandas(features, schema=row_schema(workload), preserve_index=False)


def _carried(workload: Workload, observed: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns that are there only where they are declared, see `tables.carried`."""
    columns: dict[str, pd.Series] = {}
    if workload.resample_by is not None:
        columns[RESAMPLE_BY] = observed[workload.resample_by].astype(str)
    if workload.weight is not None:
        columns[SAMPLE_WEIGHT] = observed[workload.weight].astype("float64")
    return columns


def with_parent_names(workload: Workload, rows: pa.Table) -> pa.Table:
    """Add `PARENT_COLUMN`, the name of the parent that pools each row's group; null where there are no parents."""
    fallback = workload.pack.fallback
    if not isinstance(fallback, Parent):
        return rows.append_column(PARENT_COLUMN, pa.nulls(rows.num_rows, pa.string()))
    of = rows["group"].combine_chunks().dictionary_encode()
    names = [
        groups.parent_name(workload.keys, groups.values(name), fallback.keys) for name in of.dictionary.to_pylist()
    ]
    return rows.append_column(PARENT_COLUMN, pa.array(names, pa.string()).take(of.indices))


def row_schema(workload: Workload) -> pa.Schema:
    """Return the columns that `compute` returns: those of `features` but where a row is kept."""
    return pa.schema([field for field in features_schema(workload) if field.name not in ("partition", "bucket")])


def _labelled_frame(workload: Workload, rows: pa.Table) -> pd.DataFrame:
    """Return what the function gets: the declared columns, one dtype a declared type, and Muster's own but `bucket`."""
    ordered = [("group", "ascending"), (workload.time, "ascending"), ("row_id", "ascending")]
    schema = observations_schema(workload)
    schema = schema.remove(schema.get_field_index("bucket"))
    # Without the metadata that pandas leaves in a table: it would name dtypes of its own.
    typed = rows.select(schema.names).cast(schema).sort_by(ordered).replace_schema_metadata()
    observed: pd.DataFrame = typed.to_pandas(date_as_object=False, types_mapper=DTYPES.get)
    observed["label"] = kind_of(workload.outcome).labels(observed)
    return observed


def _checked_result(workload: Workload, result: object, observed: pd.DataFrame) -> dict[str, np.ndarray]:
    declared = workload.features.columns
    if not isinstance(result, pd.DataFrame):
        raise BadFeatures(workload, f"returned a {type(result).__name__}; return a pandas DataFrame")
    missing, unexpected = set(declared) - set(result.columns), set(result.columns) - set(declared)
    if missing or unexpected or len(result.columns) != len(declared):
        problems = [f"lacks {bounded(sorted(missing))}"] if missing else []
        problems += [f"has the undeclared {bounded(sorted(map(str, unexpected)))}"] if unexpected else []
        raise BadFeatures(
            workload, f"its result {' and '.join(problems) or 'has a column twice'}; see features.columns"
        )
    if not result.index.equals(observed.index):
        raise BadFeatures(workload, f"returned {len(result)} rows for {len(observed)}, or another index: keep it")
    for name in declared:
        if not (is_numeric_dtype(result[name]) or is_bool_dtype(result[name])):
            raise BadFeatures(workload, f"'{name}' is of type {result[name].dtype}; features are numbers")
    return {name: result[name].to_numpy(dtype="float64", na_value=np.nan) for name in declared}
