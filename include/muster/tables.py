"""The tables: their columns, where they stand, and how they are read without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from muster.workload.spec import ColumnType, Workload

if TYPE_CHECKING:
    from deltalake import DeltaTable

STRING, INT, LONG, FLOAT, DATE = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.date32()
TIMESTAMP = pa.timestamp("us", tz="UTC")
_ARROW: dict[ColumnType, pa.DataType] = {
    "string": STRING,
    "int": LONG,
    "float": FLOAT,
    "bool": pa.bool_(),
    "date": DATE,
    "timestamp": TIMESTAMP,
}

PARTITIONED_BY = {
    "observations": ("date",),
    "quarantine": ("date",),
    "features": ("partition", "bucket"),
    "models": ("partition",),
    "ledger": ("partition",),
    "decisions": ("partition",),
    "alias_journal": (),
    "predictions": ("partition",),
}
"""Every table, and the columns its Delta files are divided by."""

QUARANTINE = pa.schema([("date", DATE), ("file", STRING), ("row", STRING), ("reason", STRING)])
"""A refused row: `row` is JSON of the text as landed, by column."""

LEDGER = pa.schema(
    [
        ("partition", STRING),
        ("run", STRING),
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("state", STRING),  # trained | skipped | failed
        ("reason", STRING),  # of a trained group: which of its algorithms was not, and why
        ("error_class", STRING),  # null unless failed
        ("rows", LONG),  # labelled training rows
        ("positives", LONG),
        ("seconds", FLOAT),
        ("bytes", LONG),  # of the models as stored; 0 without one
    ]
)

MODELS = pa.schema(
    [
        ("partition", STRING),
        ("run", STRING),
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("algorithm", STRING),  # its name in the YAML
        ("params", STRING),  # JSON of the parameters that its search chose; null without a search
        ("shard", STRING),  # path below the store's root
        ("offset", LONG),
        ("length", LONG),
        ("sha256", STRING),  # of the stored bytes
        ("rows", LONG),  # labelled training rows; an outlier detector learns from the others as well
        ("positives", LONG),
        ("prior", FLOAT),  # share of positives in those rows: the baseline's constant score; null without a row
        ("train_from", DATE),
        ("train_to", DATE),  # not included
        ("features_version", LONG),  # Delta version of `features` that was read
        ("mlflow_run_id", STRING),
    ]
)

DECISIONS = pa.schema(
    [
        ("partition", STRING),
        ("run", STRING),
        ("group", STRING),
        ("bucket", INT),
        ("parent", pa.bool_()),
        ("verdict", STRING),  # promote | hold | reject
        ("reason", STRING),
        ("metric", STRING),  # the scores are in its own sign: of a loss, less is better
        ("against", STRING),  # champion | baseline
        ("champion_version", STRING),  # the version judged against; null when there was no champion
        ("champion_run", STRING),  # the run that the group's champion came from
        ("algorithm", STRING),  # the one that was chosen among the group's candidates; null when held
        ("candidate_score", FLOAT),
        ("champion_score", FLOAT),  # null without a champion
        ("baseline_score", FLOAT),
        ("win_rate", FLOAT),
        ("low", FLOAT),  # 2.5 % and 97.5 % points of candidate - opponent
        ("high", FLOAT),
        ("p_value", FLOAT),  # one-sided, corrected for the choice among algorithms
        ("q_value", FLOAT),  # the p-value adjusted for all groups judged in the run
        ("resamples", LONG),  # in which the metric was defined
        ("rows", LONG),
        ("positives", LONG),
    ]
)

ALIAS_JOURNAL = pa.schema(
    [
        ("at", TIMESTAMP),
        ("alias", STRING),
        ("group", STRING),  # whose registered model's alias; null where one pack holds all groups
        ("from_version", STRING),  # null when the alias was not set
        ("to_version", STRING),
        ("cause", STRING),  # gate | human | rollback
        ("who", STRING),
        ("run", STRING),
        ("partition", STRING),
        ("manifest_sha256", STRING),
        ("evidence", STRING),  # JSON: promoted, held, rejected, groups
    ]
)


def observations_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `observations`: the declared ones, then Muster's own."""
    declared = [(name, _ARROW[column.type]) for name, column in workload.columns.items()]
    return pa.schema([*declared, ("group", STRING), ("bucket", INT), ("row_id", STRING), ("date", DATE)])


def features_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `features`; `label` is null where the outcome is unknown."""
    own = [("group", STRING), ("parent", pa.bool_()), ("row_id", STRING), ("time", TIMESTAMP), ("date", DATE)]
    features = [(name, FLOAT) for name in workload.features.columns]
    return pa.schema([*own, ("label", FLOAT), *features, ("partition", STRING), ("bucket", INT)])


PREDICTIONS = pa.schema(
    [
        ("partition", STRING),
        ("group", STRING),
        ("bucket", INT),
        ("row_id", STRING),
        ("time", TIMESTAMP),
        ("score", FLOAT),
        ("fallback", STRING),  # why another than the group's own model answered; null where its own did
        ("model_version", STRING),
        ("origin_run", STRING),  # the run that trained the model that answered
        ("features_version", LONG),
        ("scored_at", TIMESTAMP),
    ]
)


def schema(workload: Workload, table: str) -> pa.Schema:
    """Return the columns of `table`, in order."""
    if table == "observations":
        return observations_schema(workload)
    if table == "features":
        return features_schema(workload)
    fixed = {"quarantine": QUARANTINE, "ledger": LEDGER, "models": MODELS, "decisions": DECISIONS}
    return {**fixed, "alias_journal": ALIAS_JOURNAL, "predictions": PREDICTIONS}[table]


@dataclass(frozen=True)
class Store:
    """The folder (or object store prefix) of one workload's data."""

    root: str
    workload: str

    def table(self, name: str) -> str:
        """Return where the Delta table `name` stands."""
        return f"{self.root}/tables/{self.workload}/{name}"

    def landing(self) -> str:
        """Return the folder that files are delivered to."""
        return f"{self.root}/landing/{self.workload}"

    def packs(self) -> str:
        """Return the folder of candidates' shards and of champion packs."""
        return f"{self.root}/packs/{self.workload}"

    def results(self, stage: str) -> str:
        """Return the folder of a stage's result files."""
        return f"{self.root}/results/{self.workload}/{stage}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Open the Delta table `name` with delta-rs, or return None when nothing was written to it yet."""
        from deltalake import DeltaTable

        location = self.table(name)
        return DeltaTable(location, version=version) if DeltaTable.is_deltatable(location) else None
