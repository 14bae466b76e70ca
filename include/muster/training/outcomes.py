"""What training a bucket returns, a row a group; and the rows of `ledger` and `models` made of it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from muster.tables import FLOAT, INT, LEDGER, LONG, MODELS, STRING
from muster.workload.windows import PartitionWindows

OUTCOMES = pa.schema(
    [
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("state", STRING),
        ("reason", STRING),
        ("error_class", STRING),
        ("rows", LONG),
        ("positives", LONG),
        ("seconds", FLOAT),
        ("shard", STRING),  # the file's name; null without a model
        ("offset", LONG),
        ("length", LONG),
        ("sha256", STRING),
    ]
)


def ledger_rows(outcomes: pa.Table, run: str, windows: PartitionWindows) -> pa.Table:
    """Return the rows of `ledger`: every group, sorted by name."""
    size = pc.fill_null(outcomes["length"], 0)
    return _rows(outcomes, LEDGER, partition=windows.key, run=run, bytes=size)


def models_rows(
    outcomes: pa.Table, run: str, windows: PartitionWindows, shards: str, features_version: int, mlflow_run_id: str
) -> pa.Table:
    """Return the rows of `models`: every trained group, sorted by name; `shards` is the run's folder in the store."""
    trained = outcomes.filter(pc.equal(outcomes["state"], "trained"))
    rows = trained["rows"].cast(FLOAT)
    return _rows(
        trained,
        MODELS,
        partition=windows.key,
        run=run,
        shard=pc.binary_join_element_wise(pa.scalar(shards), trained["shard"], "/"),
        prior=pc.divide(trained["positives"].cast(FLOAT), rows),
        train_from=windows.train.start,
        train_to=windows.train.stop,
        features_version=features_version,
        mlflow_run_id=mlflow_run_id,
    )


def _rows(outcomes: pa.Table, schema: pa.Schema, **added: object) -> pa.Table:
    """Return the columns of `schema`: those of `outcomes`, and the `added` ones, each an array or one value for all."""
    columns = {name: outcomes[name] for name in outcomes.column_names}
    for name, value in added.items():
        whole = isinstance(value, (pa.Array, pa.ChunkedArray))
        columns[name] = value if whole else pa.repeat(pa.scalar(value, schema.field(name).type), outcomes.num_rows)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema).sort_by("group")
