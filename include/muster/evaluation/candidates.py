"""The candidates of a run: what train left in `ledger` and `models`, read by bucket without Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc

from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.quiet_days import quiet
from muster.mlflow.candidates import CANDIDATE_TAG, TaggedCandidate, models_digests
from muster.models.manifest_reader import why_removed
from muster.models.vouched import ModelsNotVouched, check_models, models_digest
from muster.storage.attempts import WHOLE, runs_of, with_attempt
from muster.storage.delta import dataset, parquet_files
from muster.storage.store import NoSuchVersion, Store, TableVersion
from muster.storage.tables import LEDGER, MODELS


class NotTrained(MusterError):
    """Raised when a partition's run cannot be judged as it is."""

    def __init__(self, workload: str, partition: str, problem: str) -> None:
        super().__init__(f"{workload} {partition}: {problem}; run train for this partition first")


@dataclass(frozen=True)
class PartitionRows:
    """One partition of a Delta table at one version, as files. Plain data: it travels to the executors."""

    schema: pa.Schema
    partition: str
    files: tuple[str, ...]
    run: str | None = None
    """The one run whose rows are read; None for all."""

    def read(self, bucket: int | None = None) -> pa.Table:
        """Return the partition's rows, or those of one bucket."""
        stored = self.schema.remove(self.schema.get_field_index("partition"))
        only = {"bucket": bucket, "run": self.run}
        wanted = [pc.field(name) == value for name, value in only.items() if value is not None]
        rows = parquet_files(self.files, stored).to_table(filter=reduce(and_, wanted) if wanted else None)
        key = pa.repeat(pa.scalar(self.partition), rows.num_rows)
        return rows.append_column("partition", key).select(self.schema.names)


@dataclass(frozen=True)
class Candidates:
    """The groups of a run, and the models that it trained."""

    run: str
    """Empty where nothing happened on any of the run's days, so that it has no group."""
    features: TableVersion | None
    """The version of `features` that the models were trained on; None when no group was trained."""
    mlflow_runs: dict[str, str]
    """The id of the MLflow run of each algorithm with a model, by name."""
    ledger: PartitionRows
    models: PartitionRows
    vouched: dict[int, str]
    """The digest of each bucket's rows of `models`, as they were when MLflow's digests were theirs."""
    others: frozenset[str] = frozenset()
    """The partition's other runs, which stay as they are: retries beside the training, or it and those before."""

    def models_of(self, bucket: int) -> pa.Table:
        """Read a bucket's rows of `models` again, on an executor.

        Raises:
            ModelsNotVouched: when they are others by now.
        """
        rows = self.models.read(bucket)
        if rows.num_rows and models_digest(rows) != self.vouched.get(bucket):
            raise ModelsNotVouched(self.run, self.models.partition, rows["algorithm"][0].as_py(), "other")
        return rows


def read_candidates(
    context: PartitionContext, tagged: Iterable[TaggedCandidate], retry: str | None = None
) -> Candidates:
    """Return the run that train left for a partition: the algorithms that are tagged as its candidates.

    That is the training of the whole partition, or the run of that `retry`. A run that was judged before lost its tags
    then, and is judged again all the same.

    Raises:
        NotTrained: when there is none, when an algorithm's candidate is missing, when ledger and models are not of the
            same run, when housekeeping has removed its models, when one was trained on days that it would now be judged
            on, or on features that are gone.
        ModelsNotVouched: when the models are not those that training wrote.
    """
    workload, store, windows, tagged = context.workload, context.store, context.windows, list(tagged)
    ledger, models = (_partition(store, table, windows.key) for table in ("ledger", "models"))
    known = with_attempt(ledger.read())
    run, others = _run(context, known, retry)
    ledger, models = replace(ledger, run=run), replace(models, run=run)
    ledger_rows, trained = ledger.read(), models.read()
    expected = {row["group"] for row in ledger_rows.to_pylist() if row["state"] == "trained"}
    if set(trained["group"].to_pylist()) != expected:
        raise NotTrained(workload.name, windows.key, f"the models are not those of run '{run}' in the ledger")
    mlflow_runs = dict(zip(*(trained[name].to_pylist() for name in ("algorithm", "mlflow_run_id")), strict=True))
    missing = mlflow_runs.keys() - {item.algorithm for item in tagged if item.run == run}
    if missing and run not in judged_runs(store, [windows.key]):
        tag = f"{CANDIDATE_TAG} = {windows.key}"
        problem = f"MLflow has no run of '{run}' tagged '{tag}' for {bounded(sorted(missing))}"
        raise NotTrained(workload.name, windows.key, problem)
    if trained.num_rows == 0:
        return Candidates(run, None, {}, ledger, models, {}, others)
    digests = {item.algorithm: item.models_sha256 for item in tagged if item.run == run}
    judged_before = {name: run_id for name, run_id in mlflow_runs.items() if name not in digests}
    check_models(workload.name, windows.key, trained, digests | models_digests(workload, judged_before))
    _check_not_removed(context, run, trained)
    _check_cutoff(context, trained["train_to"].to_pylist())
    features = _features(context, trained)
    return Candidates(run, features, mlflow_runs, ledger, models, _digests_by_bucket(trained), others)


def _digests_by_bucket(models: pa.Table) -> dict[int, str]:
    buckets = pc.unique(models["bucket"]).to_pylist()
    return {bucket: models_digest(models.filter(pc.field("bucket") == bucket)) for bucket in buckets}


def judged_candidates(
    store: Store, partition: str, tagged: Iterable[TaggedCandidate], others: Collection[str] = ()
) -> list[str]:
    """Return the ids of the MLflow runs that are judged and so no candidates any more, once `partition` has decisions.

    Those of the partition, an older training's too; and those of any partition whose run has decisions, which an
    evaluation that was broken off has left. A later training keeps its tag, and so do the partition's `others`: a retry
    is judged by itself.
    """
    tagged = list(tagged)
    judged = judged_runs(store, sorted({item.partition for item in tagged}))
    return [
        item.run_id for item in tagged if (item.partition == partition and item.run not in others) or item.run in judged
    ]


def judged_runs(store: Store, partitions: Sequence[str]) -> set[str]:
    """Return the runs that have decisions in any of the partitions."""
    delta = store.open("decisions") if partitions else None
    if delta is None:
        return set()
    rows = dataset(delta).to_table(columns=["run"], filter=pc.field("partition").isin(list(partitions)))
    return set(rows["run"].to_pylist())


def _partition(store: Store, table: str, partition: str) -> PartitionRows:
    delta = store.open(table)
    files = delta.file_uris(file_pruning_predicate=[("partition", "=", partition)]) if delta else []
    return PartitionRows({"ledger": LEDGER, "models": MODELS}[table], partition, tuple(sorted(files)))


def _run(context: PartitionContext, ledger: pa.Table, retry: str | None) -> tuple[str, frozenset[str]]:
    """Return the run that is judged, and the partition's others."""
    whole = ledger.filter(pc.field("attempt") == WHOLE)
    runs = sorted(set(whole["run"].to_pylist()))
    known = runs_of(ledger)
    if retry is not None:
        if retry not in known.retries:
            raise NotTrained(context.workload.name, context.partition, f"the ledger holds no retry '{retry}' of it")
        return retry, known.all - {retry}
    if not runs and quiet(context, context.windows.run):
        return "", frozenset()
    if len(runs) != 1:
        problem = f"the ledger holds rows of {len(runs)} runs" if runs else "the ledger holds no row of it"
        raise NotTrained(context.workload.name, context.partition, problem)
    return str(runs[0]), frozenset(known.retries)


def _check_not_removed(context: PartitionContext, run: str, trained: pa.Table) -> None:
    """Refuse to judge models that housekeeping has removed, and that were not trained again since."""
    files, shards = context.store.files, trained["shard"].unique().to_pylist()
    why = why_removed(files, shards[0])
    if why and any(files.about(shard) is None for shard in shards):
        raise NotTrained(context.workload.name, context.partition, f"the models of run '{run}' are not there{why}")


def _check_cutoff(context: PartitionContext, trained_to: Sequence[date]) -> None:
    """Refuse to judge a model on rows from before its training's cutoff: it may have learnt them by heart."""
    start = context.windows.evaluate.start
    if max(trained_to) > start:
        problem = f"trained on days up to {max(trained_to)}, but judged on days from {start}"
        raise NotTrained(context.workload.name, context.partition, problem)


def _features(context: PartitionContext, trained: pa.Table) -> TableVersion:
    """Return the version of `features` that the models were trained on, which must be there still.

    Rows of before do not name its table; so it must not be younger than they are.
    """
    version = TableVersion(*(trained[name][0].as_py() for name in ("features_version", "features_table")))
    workload, key = context.workload.name, context.partition
    try:
        table = context.store.open("features", version)
    except NoSuchVersion as error:
        raise NotTrained(workload, key, str(error)) from error
    made = table.metadata().created_time if table is not None and version.table is None else None
    if made is not None and made > _written(context.store, key):
        raise NotTrained(workload, key, "the models were trained before there was the present table of features")
    return version


def _written(store: Store, partition: str) -> int:
    """Return when a partition's rows of `models` were written, in milliseconds."""
    delta = store.open("models")
    files = pa.table(delta.get_add_actions(flatten=True)).to_pylist() if delta else []
    return max((file["modification_time"] for file in files if file["partition.partition"] == partition), default=0)
