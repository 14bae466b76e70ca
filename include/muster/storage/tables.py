"""The tables: one record each says its columns, how its files are laid out and which stage writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pyarrow as pa

from muster.workload.column import ColumnType
from muster.workload.spec import Workload
from muster.workload.stages import StageName

STRING, INT, LONG, FLOAT, DATE = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.date32()
TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": STRING,
    "int": LONG,
    "float": FLOAT,
    "bool": pa.bool_(),
    "date": DATE,
    "timestamp": TIMESTAMP,
}

FEATURE_ERROR = "feature_error"
"""The column of `features` that says why a row has none."""
RESAMPLE_BY = "resample_by"
"""The column of `features` that says with which rows a row is drawn, if not with those of its day."""
SAMPLE_WEIGHT = "sample_weight"
"""The column of `features` that says how much a row counts, where the workload declares it."""

QUARANTINE = pa.schema([("date", DATE), ("file", STRING), ("row", STRING), ("reason", STRING)])
"""A refused row: `row` is JSON of the text as landed, by column; of a line that is no such row, the line."""

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
        ("rows", LONG),  # labelled training rows; all where nothing is labelled
        ("positives", LONG),  # of yes and no; else null
        ("seconds", FLOAT),
        ("bytes", LONG),  # of the models as stored; 0 without one
        ("learnt", LONG),  # rows that its models learnt from: an outlier detector needs no label; 0 without one
        ("target", STRING),  # JSON of a number's labels, mean, std, median, last, or of each class's count; else null
        ("attempt", INT),  # 1: the run trained the whole partition; 2, 3: it is its first, second retry; null is 1
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
        ("rows", LONG),  # labelled training rows; all where nothing is labelled
        ("positives", LONG),  # of yes and no; else null
        ("prior", FLOAT),  # share of positives in those rows, or their mean; null without a row, and of classes
        ("train_from", DATE),
        ("train_to", DATE),  # not included
        ("features_version", LONG),  # Delta version of `features` that was read
        ("mlflow_run_id", STRING),
        ("learnt", LONG),  # rows that it learnt from: an outlier detector needs no label
        ("target", STRING),  # as in the ledger
        ("features_table", STRING),  # Delta's id of the table that features_version is of; null before it was kept
        ("probabilities", pa.bool_()),  # whether its scores are probabilities; null before it was written down
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
        ("rule", STRING),  # better | not_worse
        ("champion_version", STRING),  # the version judged against; null when there was no champion
        ("champion_run", STRING),  # the run that the group's champion came from
        ("algorithm", STRING),  # the one that was chosen among the group's candidates; null when held
        ("candidate_sha256", STRING),  # of its model's stored bytes
        ("candidate_score", FLOAT),
        ("champion_score", FLOAT),  # null without a champion
        ("baseline_score", FLOAT),
        ("chance_score", FLOAT),  # of what knows nothing: one score for all rows
        ("win_rate", FLOAT),
        ("low", FLOAT),  # 2.5 % and 97.5 % points of candidate - opponent
        ("high", FLOAT),
        ("p_value", FLOAT),  # one-sided, corrected for the choice among algorithms
        ("chance_p_value", FLOAT),  # the same of the gain over chance_score, or over gate.at_least
        ("q_value", FLOAT),  # the p-value adjusted for all groups judged in the run
        ("resamples", LONG),  # in which the metric was defined
        ("rows", LONG),
        ("positives", LONG),  # of yes and no; else null
        ("clusters", LONG),  # what was resampled: days, or rows
        ("alerts", FLOAT),  # without labels: the share of rows that the candidate alerts on
        ("agreement", FLOAT),  # without labels: the rank correlation with the champion's scores
        ("report", STRING),  # without labels: JSON of alerts on rows that have some; decided nothing
        ("classes", STRING),  # JSON of how many rows are of each class; null of other kinds
        ("candidate_spread", FLOAT),  # the standard error of candidate_score; null before it was written down
    ]
)

ALIAS_JOURNAL = pa.schema(
    [
        ("at", TIMESTAMP),
        ("alias", STRING),
        ("group", STRING),  # whose registered model's alias; null where one pack holds all groups
        ("from_version", STRING),  # null when the alias was not set
        ("to_version", STRING),  # `none` where a human left the group without a champion
        ("cause", STRING),  # gate | human | rollback
        ("who", STRING),
        ("run", STRING),
        ("partition", STRING),
        ("manifest_sha256", STRING),
        ("evidence", STRING),  # JSON: of a pack the counts, of a model its rows and score; of a rollback why
    ]
)


MONITORING = pa.schema(
    [
        ("partition", STRING),
        ("group", STRING),  # `*`: all together
        ("bucket", INT),  # null of all together
        ("state", STRING),  # judged | no_labels | no_own_answers | no_reference | too_few_rows | unusable | unlabelled
        ("reason", STRING),  # why the outcome is not judged
        ("alarm", STRING),  # degraded | drifted | both; null: none
        ("why", STRING),  # of an alarm
        ("rows", LONG),  # scored
        ("own", LONG),  # of these, answered by the group's own model
        ("labelled", LONG),  # of those, with an outcome by now
        ("gone", LONG),  # scored, and in features no more
        ("fallback", FLOAT),  # share of the rows that another than the group's own model answered
        ("metric", STRING),
        ("score", FLOAT),  # the metric of the own answers
        ("score_of_all", FLOAT),  # of all answers, whoever gave them
        ("reference_score", FLOAT),  # what was to be expected when the model was judged
        ("worse_by", FLOAT),  # in the metric's unit: negative where it is better
        ("p_value", FLOAT),  # of being worse by more than what matters: one-sided
        ("q_value", FLOAT),
        ("bias", FLOAT),  # mean of answer - outcome; of classes of the likeliest's probability - its hits
        ("slope", FLOAT),  # of probabilities: less than 1 where they are too sure
        ("coverage", FLOAT),  # of quantiles: share of the outcomes that are no higher
        ("drift_column", STRING),  # the column that drifts most surely; `score`: the answers
        ("psi", FLOAT),  # its population stability index, without what chance alone brings
        ("distance", FLOAT),  # its Kolmogorov-Smirnov distance
        ("drift_p_value", FLOAT),
        ("drift_q_value", FLOAT),
        ("origin_run", STRING),  # the run whose model answered most of the rows
        ("model_version", STRING),
        ("variance_by_row", FLOAT),  # of score, if rows were independent
        ("at", TIMESTAMP),
        ("made_from", STRING),  # a digest of the predictions, features and limits that it was made from
    ]
)


PROVENANCE = pa.schema(
    [
        ("at", TIMESTAMP),
        ("table", STRING),
        ("slice", STRING),  # a day of `observations`, the first day of a slice of `features`
        (
            "files",
            STRING,
        ),  # digest of its files' names: the row is true of these files alone; empty where there is none
        ("rows", LONG),
        ("content", STRING),  # JSON: day -> digest of its rows, whatever their order and files
        ("made_from", STRING),  # JSON: the landed file; of features all that decides them
    ]
)


def observations_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `observations`: the declared ones, then Muster's own."""
    declared = [(name, ARROW_TYPES[column.type]) for name, column in workload.columns.items()]
    return pa.schema([*declared, ("group", STRING), ("bucket", INT), ("row_id", STRING), ("date", DATE)])


def carried(workload: Workload) -> dict[str, pa.DataType]:
    """Return the columns of `features` that are there only where a workload declares what they are for."""
    drawn = {} if workload.resample_by is None else {RESAMPLE_BY: STRING}
    return drawn if workload.weight is None else {**drawn, SAMPLE_WEIGHT: FLOAT}


def features_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `features`; `label` is null where the outcome is unknown, and `feature_error` is where the
    features are unknown because the workload's function failed for the group. Where a column says what the gate draws
    as one, `resample_by` is its value as text; where one says how much a row counts, `sample_weight` is that."""
    own = [("group", STRING), ("parent", pa.bool_()), ("row_id", STRING), ("time", TIMESTAMP), ("date", DATE)]
    features = [(name, FLOAT) for name in workload.features.columns]
    stored = [("partition", STRING), ("bucket", INT)]
    return pa.schema([*own, *carried(workload).items(), ("label", FLOAT), *features, (FEATURE_ERROR, STRING), *stored])


PREDICTIONS = pa.schema(
    [
        ("partition", STRING),
        ("group", STRING),
        ("bucket", INT),
        ("row_id", STRING),
        ("time", TIMESTAMP),
        ("score", FLOAT),  # of classes the probability of the one predicted
        ("fallback", STRING),  # why another than the group's own model answered; null where its own did
        ("model_version", STRING),
        ("origin_run", STRING),  # the run that trained the model that answered
        ("features_version", LONG),
        ("scored_at", TIMESTAMP),
        ("seen_in_training", pa.bool_()),  # whether its model was trained or judged on its day; null: no run's model
    ]
)
"""What predictions of every workload have."""


def answers_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `predictions` that scoring makes: of classes the likeliest too, as text, and the
    probability of each."""
    answers = workload.outcome.answers
    own = [("predicted", STRING), *((name, FLOAT) for name in answers)] if answers else []
    return pa.schema([*PREDICTIONS, *own])


def predictions_schema(workload: Workload) -> pa.Schema:
    """Return the columns of `predictions`: those of the answers, then the declared ones that they are to have."""
    columns = workload.columns
    declared = [(name, ARROW_TYPES[columns[name].type]) for name in workload.predictions.columns]
    return pa.schema([*answers_schema(workload), *declared])


def _fixed(columns: pa.Schema) -> Callable[[Workload], pa.Schema]:
    return lambda _: columns


@dataclass(frozen=True)
class Table:
    """A table of every workload."""

    name: str
    schema: Callable[[Workload], pa.Schema]
    """Its columns, in order."""
    written_by: StageName
    partitioned_by: tuple[str, ...] = ("partition",)
    """The columns that its Delta files are divided by."""
    newest: str = "partition"
    """The column by which its rows are shown, the latest first."""


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            Table("observations", observations_schema, "ingest", ("date",), "date"),
            Table("quarantine", _fixed(QUARANTINE), "ingest", ("date",), "date"),
            Table("features", features_schema, "features", ("partition", "bucket")),
            Table("models", _fixed(MODELS), "train"),
            Table("ledger", _fixed(LEDGER), "train"),
            Table("decisions", _fixed(DECISIONS), "evaluate"),
            Table("alias_journal", _fixed(ALIAS_JOURNAL), "promote", (), "at"),
            Table("predictions", predictions_schema, "score"),
            Table("monitoring", _fixed(MONITORING), "monitor"),
            Table("provenance", _fixed(PROVENANCE), "ingest", (), "at"),
        )
    }
)
"""Every table by its name: a new one is one more line here."""
