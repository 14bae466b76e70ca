"""Score: predictions of a slice's rows with the champions, bucket by bucket, as a pack's gateway would answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muster import groups
from muster.champions.as_of import to_score
from muster.champions.errors import CannotLoad
from muster.champions.opened import Champions, OpenPack, replaced_since, scorers
from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.features.files import FeatureFiles, groups_of, list_features, read_bucket
from muster.ingest.quiet_days import quiet
from muster.models.loading import CorruptModel
from muster.models.reader import Answers, Pack
from muster.models.scores import answer_columns
from muster.scoring.rescored import parent_of, rescored_groups
from muster.storage.delta import dataset
from muster.storage.evolution import check_predictions
from muster.storage.tables import FEATURE_ERROR, answers_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

ROWS_OF_A_FETCH = 20_000
"""What fetching and loading a group's model costs, in rows scored: three calls to MLflow, some 0.1 s."""


NO_FEATURES = "no features"
"""Why a row has no score: the workload's feature function failed for its group."""


NONE_EARLIER = "there is no champion of an earlier partition yet, and scoring waits for none of its own ('score_waits')"


class CannotScore(MusterError):
    """Raised when the champion cannot answer for a slice."""

    def __init__(self, workload: str, partition: str, why: str) -> None:
        super().__init__(f"{workload} {partition} cannot be scored: {why}")


class NoChampionThen(CannotScore):
    """Raised when a slice has no champion of its time: there is nothing to score it with, and nothing to mend."""

    def __init__(self, workload: str, partition: str, why: str = "") -> None:
        later = "one of a later partition has learnt from this slice's rows, or was judged on them"
        then = why or "there is no champion yet that is as old as the slice"
        super().__init__(workload, partition, f"{then}; {later}")


@dataclass(frozen=True)
class Scoring:
    """What is scored with whose models. Plain data: it travels to the executors."""

    workload: Workload
    features: FeatureFiles
    days: DateRange
    partition: str
    at: datetime
    champions: Champions
    only: frozenset[str] | None = None
    """The groups whose rows are scored; None: all."""

    @property
    def costs(self) -> dict[int, float]:
        """What each bucket costs: its rows, and the fetching of its groups' models."""
        buckets = self.workload.features.buckets
        fetched = Counter(groups.bucket(group, buckets) for group in self.champions.to_fetch)
        return {bucket: float(rows + ROWS_OF_A_FETCH * fetched[bucket]) for bucket, rows in self.features.rows.items()}


def prepare(context: PartitionContext, retry: str | None = None, today: bool = False) -> Scoring:
    """Find the champions, those of the slice's time or of `today`, and the rows to score: all, or those that a retry's
    models may answer.

    Raises:
        NoChampionThen: when none was promoted for the slice's partition or an earlier one.
        CannotScore: when the champion takes other features, or when groups have no model and the declared fallback is
            `error`.
        NoFeatures: when the slice has no rows, although something happened in it.
        BadChampion, ForeignVersion, NotVouched: as `champions.opened.scorers` does.
        OtherPredictions: when the table would not take them.
    """
    workload, windows = context.workload, context.windows
    check_predictions(workload, context.store)
    at = datetime.now(UTC)  # before the champions are looked up: whoever moves one from now on, has done so since
    champions = scorers(context, today)
    if champions is None and today:
        raise NoChampionThen(workload.name, windows.key, "there is no champion")
    if champions is None:
        by_own = to_score(workload, windows.key).including
        raise NoChampionThen(workload.name, windows.key, "" if by_own else NONE_EARLIER)
    if not champions.fits:
        who = f"champion version {champions.version}" if champions.version else "each group's champion"
        if not today and replaced_since(context):
            then = f"{who} of the slice's time took other keys, features or classes; what was predicted then stays"
            raise NoChampionThen(workload.name, windows.key, then)
        why = f"{who} takes other keys, features or classes; train, evaluate and promote first"
        raise CannotScore(workload.name, windows.key, why)
    features = list_features(context, windows.score, quiet=lambda: quiet(context, windows.score))
    only = rescored_groups(context, features, retry) if retry else None
    if only is not None:
        features = features.of_buckets({groups.bucket(group, workload.features.buckets) for group in only})
    scoring = Scoring(workload, features, windows.score, windows.key, at, champions, only)
    own = groups_of(workload, features, windows.score) if champions.fallback == "error" else set()
    if own and (missing := champions.without_model(own)):
        names = bounded(f"'{group}'" for group in missing)
        why = f"{len(missing)} groups have no model and the fallback is 'error': {names}"
        raise CannotScore(workload.name, windows.key, why)
    return scoring


def score_bucket(scoring: Scoring, bucket: int) -> pa.Table:
    """Return the answers to one bucket's rows, sorted by group and time; only models that answer are loaded."""
    workload, columns = scoring.workload, list(scoring.workload.features.columns)
    files = scoring.features.files.get(bucket, [])
    wanted = [*columns, FEATURE_ERROR, "date"]
    rows = read_bucket(workload, files, scoring.days, wanted, parents=False, only=scoring.only)
    own = rows["group"].unique().to_pylist()
    parents = {group: parent for group in own if (parent := parent_of(workload, group))}
    with scoring.champions.open(sorted({*own, *parents.values()})) as opened:
        try:
            answers = _answers(opened.reader(workload.pack.cache_bytes), rows, columns)
        except CorruptModel as error:
            if (version := opened.versions.get(error.group)) is None:
                raise
            raise CannotLoad(workload.name, error.group, version) from error
    versions = _versions(opened, rows["group"].to_pylist(), parents, answers)
    return _predictions(scoring, bucket, rows, answers, versions)


def _answers(pack: Pack, rows: pa.Table, columns: Sequence[str]) -> Answers:
    """Return the pack's answers; a row that has no features has no score."""
    answers = pack.unanswered(rows.num_rows, NO_FEATURES)
    known = np.flatnonzero(pc.is_null(rows[FEATURE_ERROR]))
    asked = rows.take(known)
    matrix = np.column_stack([asked[name].to_numpy() for name in columns]).astype(np.float64, copy=False)
    given = pack.answer(asked["group"].combine_chunks(), matrix, partial(parent_in, pack.about))
    for values, of_known in zip(answers, given, strict=True):
        values[known] = of_known
    return answers


def parent_in(about: dict[str, Any], group: str) -> str:
    """Return the group's parent as the pack has it, whatever the workload declares by now."""
    return groups.parent_name(list(about["keys"]), groups.values(group), about["parent_keys"])


def _versions(opened: OpenPack, names: Sequence[str], parents: Mapping[str, str], answers: Answers) -> pa.Array:
    """Return each row's version: the pack's, or that of the group, or parent, whose own model answered; else null."""
    if opened.version is not None:
        return pa.repeat(opened.version, len(names))
    own = opened.versions
    answered = zip(names, answers.origin_run, strict=True)
    return pa.array(
        [(own.get(name) or own.get(parents.get(name, ""))) if run else None for name, run in answered], pa.string()
    )


def _predictions(scoring: Scoring, bucket: int, rows: pa.Table, answers: Answers, versions: pa.Array) -> pa.Table:
    same = {
        "partition": scoring.partition,
        "bucket": bucket,
        "features_version": scoring.features.version,
        "scored_at": scoring.at,
    }
    schema = answers_schema(scoring.workload)
    columns = {name: rows[name] for name in ("group", "row_id", "time")}
    given = {**answers._asdict(), **answer_columns(answers.score, scoring.workload.outcome.answers)}
    columns |= {name: pa.array(values, schema.field(name).type) for name, values in given.items()}
    columns["model_version"] = versions
    columns["seen_in_training"] = seen_in_training(scoring.workload, rows["date"], answers.origin_run)
    columns |= {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), rows.num_rows) for name, value in same.items()
    }
    return pa.table(columns).select(schema.names).cast(schema)


def seen_in_training(workload: Workload, days: pa.ChunkedArray, runs: Iterable[str | None]) -> pa.Array:
    """Return whether each row's model was trained or judged on its day; null where no run's model answered.

    By the windows that are declared now. Of a slice's own time no model has seen it; today's may have.
    """
    names = pc.utf8_slice_codeunits(pa.array(list(runs), pa.string()), 0, len("2013-05-06"))  # a run's partition
    age = pc.subtract(names.cast(pa.date32()).cast(pa.int32()), days.combine_chunks().cast(pa.int32()))
    return pc.and_(pc.greater(age, 0), pc.less_equal(age, workload.windows.train + workload.windows.evaluate))


def count_predictions(context: PartitionContext) -> dict[str, Any]:
    """Count a partition's predictions by who answered, batch by batch: rows, groups, own, fallback's reasons; and the
    alerts, where answers are such."""
    rows, alerts, names, reasons = 0, 0, set(), Counter[str]()
    table = context.store.open("predictions")
    if table is not None:
        of_partition = pc.field("partition") == context.partition
        scanner = dataset(table).scanner(columns=["group", "fallback", "score"], filter=of_partition)
        for batch in scanner.to_batches():
            rows += batch.num_rows
            alerts += pc.sum(pc.greater(batch.column("score"), 0)).as_py() or 0
            names.update(batch.column("group").unique().to_pylist())
            counted = pc.value_counts(batch.column("fallback").drop_null()).to_pylist()
            reasons.update({item["values"]: item["counts"] for item in counted})
    counts = {"rows": rows, "groups": len(names), "own": rows - reasons.total(), "fallback": dict(reasons)}
    return counts | ({"alerts": alerts} if context.workload.outcome.none else {})
