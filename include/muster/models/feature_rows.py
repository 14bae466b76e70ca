"""What a model's MLflow form and its fallback need of the rows of `features`: a few of them, and a column's range."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.outcomes.kinds import kind_of
from muster.storage.delta import dataset
from muster.storage.store import Store
from muster.workload.spec import Workload

ROWS_OF_A_GROUP = 2
"""Rows of each group that an example shows."""


def example_rows(workload: Workload, store: Store, names: Sequence[str]) -> pd.DataFrame | None:
    """Return rows of `features` of some groups, with their keys, as scoring takes them; None where there are none.

    Whole numbers are shown as such. Rows without a missing value come first.
    """
    table = store.open("features")
    if table is None:
        return None
    columns, parts = list(workload.features.columns), []
    rows = dataset(table)
    if set(columns) - set(rows.schema.names):  # declared since, and not yet written
        return None
    for name in names:
        of_group = (pc.field("group") == name) & (pc.field("bucket") == groups.bucket(name, workload.features.buckets))
        complete = of_group
        for column in columns:
            complete &= pc.is_finite(pc.field(column))
        wanted = rows.head(ROWS_OF_A_GROUP, filter=complete, columns=columns)
        if not wanted.num_rows:
            wanted = rows.head(ROWS_OF_A_GROUP, filter=of_group, columns=columns)
        parts.append(_with_keys(workload, name, wanted))
    example = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return _whole_numbers(example) if len(example) else None


def _with_keys(workload: Workload, name: str, rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas()
    for position, (key, value) in enumerate(zip(workload.keys, groups.values(name), strict=True)):
        frame.insert(position, key, int(value) if workload.columns[key].type == "int" else value)
    return frame


def _whole_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    whole = [name for name in frame.select_dtypes("float64") if (frame[name] % 1 == 0).all()]
    return frame.astype(dict.fromkeys(whole, "int64"))


def is_share(store: Store, column: str) -> bool:
    """Tell whether every value of a column of `features` lies between 0 and 1, by what Delta's log says of its files.

    Where the log does not say, it does not count as one: Delta keeps the extremes of a table's first 32 columns.
    """
    table = store.open("features")
    if table is None:
        return False
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    held = [file for file in files if file["num_records"] != file.get(f"null_count.{column}")]
    ranges = [(file.get(f"min.{column}"), file.get(f"max.{column}")) for file in held]
    return bool(ranges) and all(low is not None and high is not None and low >= 0 and high <= 1 for low, high in ranges)


def answering_baseline(workload: Workload, store: Store) -> str:
    """Return what answers for a group without a model: the baseline's feature, else the prior.

    Of a binary outcome only a share does: an hour or an amount ranks rows as well as any score, so the gate compares
    with it; but it is no answer among probabilities. Where nothing is labelled, nothing but a model alerts.
    """
    baseline = workload.gate.baseline
    if not isinstance(baseline, str) or baseline not in workload.features.columns:
        return "prior"
    may_answer = kind_of(workload.outcome).may_answer(lambda: is_share(store, baseline))
    return baseline if may_answer else "prior"
