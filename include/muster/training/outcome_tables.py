"""What training a bucket returns, a row a group; and the rows of `ledger` and `models` derived from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from muster.models.shards import Stored
from muster.storage.attempts import WHOLE
from muster.storage.store import TableVersion
from muster.storage.tables import FLOAT, INT, LEDGER, LONG, MODELS, STRING
from muster.training.outcome import Outcome
from muster.workload.windows import PartitionWindows

FIT = pa.struct(
    [
        ("algorithm", STRING),
        ("state", STRING),
        ("reason", STRING),
        ("error_class", STRING),
        ("seconds", FLOAT),
        ("params", STRING),
        ("shard", STRING),  # the file's name; null without a model
        ("offset", LONG),
        ("length", LONG),
        ("sha256", STRING),
        ("learnt", LONG),
        ("probabilities", pa.bool_()),
    ]
)
OUTCOMES = pa.schema(
    [
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("state", STRING),
        ("reason", STRING),
        ("error_class", STRING),
        ("rows", LONG),
        ("learnt", LONG),
        ("positives", LONG),
        ("prior", FLOAT),
        ("target", STRING),
        ("seconds", FLOAT),
        ("bytes", LONG),
        ("fits", pa.list_(FIT)),
    ]
)


def outcomes_table(
    bucket: int,
    groups: Sequence[str],
    parents: pa.ChunkedArray,
    outcomes: Sequence[tuple[Outcome, Sequence[Stored | None]]],
    shard: str | None,
) -> pa.Table:
    """Return OUTCOMES, a row a group of the bucket; each outcome comes with where its fits' models were stored."""
    group_outcomes = [outcome for outcome, _ in outcomes]
    fields = ("state", "reason", "error_class", "rows", "learnt", "positives", "prior", "target", "seconds")
    columns = {
        "group": groups,
        "bucket": [bucket] * len(groups),
        "parent": parents,
        **{field: [getattr(outcome, field) for outcome in group_outcomes] for field in fields},
        "bytes": [sum(place.length for place in places if place) for _, places in outcomes],
        "fits": [
            [
                {**fit._asdict(), **({"shard": shard, **place._asdict()} if place else {})}
                for fit, place in zip(outcome.fits, places, strict=True)
            ]
            for outcome, places in outcomes
        ],
    }
    return pa.table(columns, schema=OUTCOMES)


def ledger_rows(outcomes: pa.Table, run: str, windows: PartitionWindows, attempt: int = WHOLE) -> pa.Table:
    """Return the rows of `ledger`: every group, sorted by name."""
    columns = {name: outcomes[name] for name in outcomes.column_names}
    return _rows(columns, LEDGER, partition=windows.key, run=run, attempt=attempt).sort_by("group")


COPIED = ("group", "bucket", "parent", "rows", "positives", "prior", "target")
"""What is the same of all fits of a group."""


def fits(outcomes: pa.Table) -> pa.Table:
    """Return a row for each group and algorithm: the group's columns, and `state` and all else of FIT its own."""
    listed = outcomes["fits"].combine_chunks()
    owner, flat = pc.list_parent_indices(listed), pc.list_flatten(listed)
    columns = {name: outcomes[name].take(owner) for name in COPIED}
    return pa.table(columns | {field.name: pc.struct_field(flat, field.name) for field in FIT})


def models_rows(
    outcomes: pa.Table,
    run: str,
    windows: PartitionWindows,
    features: TableVersion,
    mlflow_runs: Mapping[str, str],
) -> pa.Table:
    """Return the rows of `models`: every trained model, sorted by group and algorithm.

    `features` is what was learnt from; `mlflow_runs` the id of each algorithm's MLflow run.
    """
    all_fits = fits(outcomes)
    trained = all_fits.filter(pc.equal(all_fits["state"], "trained"))
    columns = {name: trained[name] for name in trained.column_names}
    return _rows(
        columns,
        MODELS,
        partition=windows.key,
        run=run,
        train_from=windows.train.start,
        train_to=windows.train.stop,
        features_version=features.number,
        features_table=features.table,
        mlflow_run_id=pa.array([mlflow_runs[name] for name in trained["algorithm"].to_pylist()], STRING),
    ).sort_by([("group", "ascending"), ("algorithm", "ascending")])


def _rows(columns: dict[str, pa.ChunkedArray], schema: pa.Schema, **added: object) -> pa.Table:
    """Return the columns of `schema`: the given ones, and the `added` ones, each an array or one value for all."""
    count = len(columns["group"])
    for name, value in added.items():
        whole = isinstance(value, (pa.Array, pa.ChunkedArray))
        columns[name] = value if whole else pa.repeat(pa.scalar(value, schema.field(name).type), count)
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
