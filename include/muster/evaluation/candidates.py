"""The candidates of a run: what train left in `ledger` and `models`, read by bucket without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from muster.context import PartitionContext
from muster.errors import MusterError, bounded
from muster.ingest.quiet_days import quiet
from muster.mlflow.candidates import CANDIDATE_TAG, TaggedCandidate, models_digests
from muster.models.vouched import ModelsNotVouched, check_models, models_digest
from muster.storage.delta import dataset
from muster.storage.store import Store
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

    def read(self, bucket: int | None = None) -> pa.Table:
        """Return the partition's rows, or those of one bucket."""
        stored = self.schema.remove(self.schema.get_field_index("partition"))
        only = None if bucket is None else ds.field("bucket") == bucket
        rows = ds.dataset(list(self.files), schema=stored, format="parquet").to_table(filter=only)
        key = pa.repeat(pa.scalar(self.partition), rows.num_rows)
        return rows.append_column("partition", key).select(self.schema.names)


@dataclass(frozen=True)
class Candidates:
    """The groups of a run, and the models that it trained."""

    run: str
    """Empty where nothing happened on any of the run's days, so that it has no group."""
    features_version: int | None
    """Delta version of `features` that the models were trained on; None when no group was trained."""
    mlflow_runs: dict[str, str]
    """The id of the MLflow run of each algorithm with a model, by name."""
    ledger: PartitionRows
    models: PartitionRows
    vouched: dict[int, str]
    """The digest of each bucket's rows of `models`, as they were when MLflow's digests were theirs."""

    def models_of(self, bucket: int) -> pa.Table:
        """Read a bucket's rows of `models` again, on an executor.

        Raises:
            ModelsNotVouched: when they are others by now.
        """
        rows = self.models.read(bucket)
        if rows.num_rows and models_digest(rows) != self.vouched.get(bucket):
            raise ModelsNotVouched(self.run, self.models.partition, rows["algorithm"][0].as_py(), "other")
        return rows


def read_candidates(context: PartitionContext, tagged: Iterable[TaggedCandidate]) -> Candidates:
    """Return the run that train left for a partition: the algorithms that are tagged as its candidates.

    A run that was judged before lost its tags then, and is judged again all the same.

    Raises:
        NotTrained: when there is none, when an algorithm's candidate is missing, when ledger and models are not of the
            same run, or when a model was trained on days that it would now be judged on.
        ModelsNotVouched: when the models are not those that training wrote.
    """
    workload, store, windows, tagged = context.workload, context.store, context.windows, list(tagged)
    ledger, models = (_partition(store, table, windows.key) for table in ("ledger", "models"))
    ledger_rows, trained = ledger.read(), models.read()
    run = _run(context, ledger_rows)
    expected = {row["group"] for row in ledger_rows.to_pylist() if row["state"] == "trained"}
    if set(trained["run"].to_pylist()) - {run} or set(trained["group"].to_pylist()) != expected:
        raise NotTrained(workload.name, windows.key, f"the models are not those of run '{run}' in the ledger")
    mlflow_runs = dict(zip(*(trained[name].to_pylist() for name in ("algorithm", "mlflow_run_id")), strict=True))
    missing = mlflow_runs.keys() - {item.algorithm for item in tagged if item.run == run}
    if missing and run not in _judged_runs(store, [windows.key]):
        tag = f"{CANDIDATE_TAG} = {windows.key}"
        problem = f"MLflow has no run of '{run}' tagged '{tag}' for {bounded(sorted(missing))}"
        raise NotTrained(workload.name, windows.key, problem)
    if trained.num_rows == 0:
        return Candidates(run, None, {}, ledger, models, {})
    digests = {item.algorithm: item.models_sha256 for item in tagged if item.run == run}
    judged_before = {name: run_id for name, run_id in mlflow_runs.items() if name not in digests}
    check_models(workload.name, windows.key, trained, digests | models_digests(workload, judged_before))
    _check_cutoff(context, trained["train_to"].to_pylist())
    version = trained["features_version"][0].as_py()
    return Candidates(run, version, mlflow_runs, ledger, models, _digests_by_bucket(trained))


def _digests_by_bucket(models: pa.Table) -> dict[int, str]:
    buckets = pc.unique(models["bucket"]).to_pylist()
    return {bucket: models_digest(models.filter(pc.field("bucket") == bucket)) for bucket in buckets}


def judged_candidates(store: Store, partition: str, tagged: Iterable[TaggedCandidate]) -> list[str]:
    """Return the ids of the MLflow runs that are judged and so no candidates any more, once `partition` has decisions.

    Those of the partition, an older training's too; and those of other partitions whose run has decisions, which an
    evaluation that was broken off has left. A later training of theirs keeps its tag.
    """
    tagged = list(tagged)
    judged = _judged_runs(store, sorted({item.partition for item in tagged} - {partition}))
    return [item.run_id for item in tagged if item.partition == partition or item.run in judged]


def _judged_runs(store: Store, partitions: Sequence[str]) -> set[str]:
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


def _run(context: PartitionContext, ledger: pa.Table) -> str:
    runs = sorted(set(ledger["run"].to_pylist()))
    if not runs and quiet(context, context.windows.run):
        return ""
    if len(runs) != 1:
        problem = f"the ledger holds rows of {len(runs)} runs" if runs else "the ledger holds no row of it"
        raise NotTrained(context.workload.name, context.partition, problem)
    return str(runs[0])


def _check_cutoff(context: PartitionContext, trained_to: Sequence[date]) -> None:
    """Refuse to judge a model on rows from before its training's cutoff: it may have learnt them by heart."""
    start = context.windows.evaluate.start
    if max(trained_to) > start:
        problem = f"trained on days up to {max(trained_to)}, but judged on days from {start}"
        raise NotTrained(context.workload.name, context.partition, problem)
