"""The train job on a small store: every group in one state, the same again, the same however it is divided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from sklearn.linear_model import LogisticRegression

from muster import groups
from muster.context import PartitionContext
from muster.errors import WorkloadError
from muster.features.files import FeatureFiles, NoFeatures
from muster.features.slices import OutOfDate
from muster.models.loading import decode
from muster.settings import Settings
from muster.storage.store import Store, table_id
from muster.storage.tables import LEDGER, MODELS, TABLES, features_schema
from muster.training.ledger import LedgerNotReconciled, TooManyFailed
from muster.training.outcome_tables import OUTCOMES
from muster.training.task_memory import WORKER, Memory, NotEnoughMemory
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows
from muster_jobs import train
from muster_jobs.job import Job
from tests.features_facts import write_down
from tests.landed import land_nothing

PARTITION = "2024-02-05"
DECLARED = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 4},
    "algorithms": {"logistic": ":logistic"},
    "windows": {"train": 14, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
}
OWN_FILE = """
from sklearn.linear_model import LogisticRegression

STRENGTH = 0.5


def logistic():
    return LogisticRegression(C=STRENGTH)
"""
SEVERAL = {
    "logistic": ":logistic",
    "outliers": {"sklearn.ensemble.IsolationForest": {"n_estimators": 2}},
    "searched": {"steps": ":logistic", "search": {"folds": 2, "grid": {"C": [0.1, 1]}}},
}
TRAINED = ["a", "b", "../../x", 'ü"q,', "x" * 300]
GROUPS = [*TRAINED, "few", "one class", "infinite"]


@dataclass(frozen=True)
class LocalJob(Job):
    """The job with its bins run here, in any order."""

    reverse: bool = False
    losing: str = ""
    """A group whose outcome is lost on the way."""
    planned: list[Sequence[Sequence[int]]] = field(default_factory=list)
    cpus: list[int] = field(default_factory=list)
    memory: Memory | None = None  # type: ignore[assignment]

    @property
    def bins(self) -> int:
        return 2 if self.reverse else 6

    def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        return [call() for call in calls]

    def over_bins(
        self, bins: Sequence[Sequence[int]], function: Callable[[int], pa.Table], schema: pa.Schema, cpus: int = 1
    ) -> pa.Table:
        self.planned.append(bins)
        self.cpus.append(cpus)
        buckets = [bucket for some in bins for bucket in some]
        tables = [function(bucket) for bucket in (reversed(buckets) if self.reverse else buckets)]
        outcomes = pa.concat_tables([schema.empty_table(), *tables])
        kept = [group != self.losing for group in outcomes["group"].to_pylist()]
        return outcomes.filter(pa.array(kept, pa.bool_()))


def rows_of(workload: Workload, group: str) -> pa.Table:
    """Return two rows a group and day, of every slice that the partition looks at."""
    days = [day for day in partition_windows(workload, PARTITION).history.days() for _ in range(2)]
    random = np.random.default_rng(groups.seed(group, 0))
    labels = random.random(len(days)) < 0.4
    columns = {
        "group": [group] * len(days),
        "parent": [False] * len(days),
        "feature_error": [None] * len(days),
        "row_id": [f"{group}-{number:03d}" for number in range(len(days))],
        "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days],
        "date": days,
        "label": np.ones(len(days)) if group == "one class" else labels.astype(float),
        "signal": random.normal(size=len(days)) + labels,
        "noise": random.normal(size=len(days)) + (np.inf if group == "infinite" else 0),
        "partition": [(day - timedelta(days=day.weekday())).isoformat() for day in days],
        "bucket": [groups.bucket(group, workload.features.buckets)] * len(days),
    }
    rows = pa.table(columns, schema=features_schema(workload))
    return rows.slice(0, 10) if group == "few" else rows


def write_features(store: Store, rows: pa.Table) -> None:
    by = list(TABLES["features"].partitioned_by)
    write_deltalake(store.table("features"), rows, partition_by=by, mode="overwrite")


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalJob]:
    """Return the job over features just written, without MLflow."""
    monkeypatch.setattr(train.runs, "open_runs", lambda _, __, names: {name: f"m-{name}" for name in names})
    monkeypatch.setattr(train.runs, "close_run", lambda *_: None)
    monkeypatch.setattr(train.runs, "connect", lambda: None)

    def make(root: str = "store", write: bool = True, **changes: Any) -> LocalJob:
        options = {name: changes.pop(name) for name in ("reverse", "losing", "memory") if name in changes}
        workload = Workload.model_validate(DECLARED | changes)
        (tmp_path / "made.py").write_text(OWN_FILE)
        store = Store(str(tmp_path / root), workload.name)
        settings = Settings(store=store.root)
        if write:
            rows = pa.concat_tables([rows_of(workload, group) for group in GROUPS])
            rows = rows.sort_by([("group", "ascending"), ("time", "ascending")])
            write_features(store, rows)
        context = PartitionContext(workload, tmp_path, store, partition_windows(workload, PARTITION))
        write_down(context)
        return LocalJob("train", context, settings, "1", **options)

    return make


def read(job: Job, table: str) -> list[dict[str, Any]]:
    opened = job.store.open(table)
    assert opened is not None
    rows = pa.table(opened.to_pyarrow_table())
    by = [name for name in ("group", "algorithm") if name in rows.column_names]
    rows = rows.sort_by([(name, "ascending") for name in by]).to_pylist()
    own = ("seconds", "features_table")  # of each store another
    return [{name: value for name, value in row.items() if name not in own} for row in rows]


def model(job: Job, row: dict[str, Any]) -> Any:
    data = job.store.files.read(row["shard"], row["offset"], row["length"])
    return decode(data, row["sha256"], row["group"], row["shard"])


def test_every_group_ends_in_one_state_with_its_reason(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    result = train.run(job)
    ledger = {row["group"]: row for row in read(job, "ledger")}
    assert len(read(job, "ledger")) == len(GROUPS)
    ends = {group: (row["state"], row["reason"], row["error_class"]) for group, row in ledger.items()}
    assert ends == {
        **dict.fromkeys(TRAINED, ("trained", None, None)),
        "few": ("skipped", "too few labelled rows", None),
        "one class": ("skipped", "one class only", None),
        "infinite": ("failed", "infinite values in noise", "InfiniteValues"),
    }
    assert result == {
        "run": result["run"],
        "groups": 8,
        "trained": 5,
        "skipped": 2,
        "failed": 1,
        "rows": sum(row["rows"] for row in ledger.values()),
        "learnt": 28 * len(TRAINED),
        "positives": sum(row["positives"] for row in ledger.values()),
        "reasons": {"InfiniteValues": 1, "one class only": 1, "too few labelled rows": 1},
        "models": {"logistic": 5},
        "features_version": 0,
        "mlflow_run_id": "m-logistic",
        "bytes": sum(row["bytes"] for row in ledger.values()),
        "rows_read": sum(result["largest_groups"].values()) // 3 * 7 + 10,
        "largest_groups": dict.fromkeys(sorted(GROUPS)[:3], 42),
        "task_bytes": result["task_bytes"],
    }
    assert result["run"].startswith(f"{PARTITION}-")


def test_the_models_are_those_of_the_rows_before_the_cutoff(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    train.run(job)
    models = read(job, "models")
    assert [row["group"] for row in models] == sorted(TRAINED)
    for row in models:
        rows = rows_of(job.workload, row["group"]).to_pandas()
        rows = rows[(rows["date"] >= date(2024, 1, 15)) & (rows["date"] < date(2024, 1, 29))]
        expected = LogisticRegression(C=0.5).fit(rows[["signal", "noise"]].to_numpy(), rows["label"].astype(int))
        np.testing.assert_array_equal(model(job, row).coef_, expected.coef_)
        assert (row["rows"], row["positives"]) == (28, rows["label"].sum())
        assert row["prior"] == rows["label"].mean()
        assert (row["train_from"], row["train_to"]) == (date(2024, 1, 15), date(2024, 1, 29))


def test_models_say_which_table_they_have_learnt_from_and_what_their_scores_are(
    make_job: Callable[..., LocalJob],
) -> None:
    job = make_job(algorithms={"forest": "sklearn.ensemble.IsolationForest", "logistic": ":logistic"})
    train.run(job)
    models, features = job.store.open("models"), job.store.open("features")
    assert models is not None
    assert features is not None
    rows = models.to_pyarrow_table().to_pylist()
    assert {(row["features_version"], row["features_table"]) for row in rows} == {(0, table_id(features))}
    assert {(row["algorithm"], row["probabilities"]) for row in rows} == {("forest", False), ("logistic", True)}


def test_the_tables_have_their_columns(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    train.run(job)
    for table, schema in (("models", MODELS), ("ledger", LEDGER)):
        opened = job.store.open(table)
        assert opened is not None
        assert set(opened.to_pyarrow_table().schema.names) == set(schema.names)


def test_again_is_the_same_run_shards_and_rows(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    first, tables = train.run(job), [read(job, table) for table in ("models", "ledger")]
    shards = sorted(Path(job.store.uri(job.store.packs)).rglob("*"))
    assert train.run(job) == first
    assert [read(job, table) for table in ("models", "ledger")] == tables
    assert sorted(Path(job.store.uri(job.store.packs)).rglob("*")) == shards


def test_features_written_again_with_equal_rows_give_the_same_run(make_job: Callable[..., LocalJob]) -> None:
    first = train.run(make_job())
    second = train.run(make_job())
    assert (second["run"], second["features_version"]) == (first["run"], 1)


def test_labels_that_changed_places_give_another_run_with_other_models(make_job: Callable[..., LocalJob]) -> None:
    first, job = train.run(make_job()), make_job()
    before = {row["group"]: row["sha256"] for row in read(job, "models")}
    table = job.store.open("features")
    assert table is not None
    rows = table.to_pyarrow_table().sort_by([("group", "ascending"), ("time", "ascending")]).to_pandas()
    own = rows[(rows["group"] == "a") & (rows["date"] >= date(2024, 1, 15))].index
    pair = [own[rows.loc[own, "label"] == label][0] for label in (0.0, 1.0)]
    rows.loc[pair, "label"] = [1.0, 0.0]  # the file's rows, bytes and extremes are as they were
    changed = pa.Table.from_pandas(rows, features_schema(job.workload), preserve_index=False)
    write_features(job.store, changed)
    write_down(job.context)
    second = train.run(job)
    after = {row["group"]: row["sha256"] for row in read(job, "models")}
    assert second["run"] != first["run"]
    assert {group for group in TRAINED if before[group] != after[group]} == {"a"}


def test_features_that_are_out_of_date_are_not_learnt_from(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    run = train.run(job)["run"]
    (job.context.folder / "made.py").write_text(f"{OWN_FILE}\n\ndef features(rows):\n    return rows\n")
    with pytest.raises(OutOfDate, match=r"2024-01-15 \(another feature function\), .*; run features for"):
        train.run(job)
    assert {row["run"] for row in read(job, "ledger")} == {run}


def test_models_and_rows_do_not_depend_on_bins_or_order(make_job: Callable[..., LocalJob]) -> None:
    forward, backward = make_job("one"), make_job("two", reverse=True)
    assert train.run(forward) == train.run(backward)
    assert [len(bins) for bins in (*forward.planned, *backward.planned)] == [4, 2]
    for table in ("models", "ledger"):
        assert read(forward, table) == read(backward, table)


def test_models_do_not_depend_on_the_number_of_buckets(make_job: Callable[..., LocalJob]) -> None:
    digests = []
    for buckets in (1, 4, 64):
        job = make_job(f"in{buckets}", features={"columns": ["signal", "noise"], "buckets": buckets})
        train.run(job)
        digests.append({row["group"]: row["sha256"] for row in read(job, "models")})
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests[0].values())) == len(TRAINED)


def test_the_costliest_bin_comes_first(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    train.run(job)
    in_bucket = [groups.bucket(group, 4) for group in GROUPS]
    costs = [sum(in_bucket.count(bucket) for bucket in some) for some in job.planned[0]]
    assert costs == sorted(costs, reverse=True)


def test_buckets_that_need_more_memory_than_a_task_has_are_trained_fewer_at_once_to_the_same_models(
    make_job: Callable[..., LocalJob],
) -> None:
    usual, tight = make_job("one"), make_job("two", memory=Memory(of_task=WORKER, cores=2))
    assert train.run(usual) == train.run(tight)
    assert [len(bins) for bins in (*usual.planned, *tight.planned)] == [4, 0, 1]
    assert (usual.cpus, tight.cpus) == ([1], [1, 2])
    on_cluster = make_job("three", memory=Memory(of_task=WORKER, cores=2, of_an_executor=True))
    train.run(on_cluster)
    assert [len(bins) for bins in on_cluster.planned] == [0, 4]
    for table in ("models", "ledger"):
        assert read(usual, table) == read(tight, table) == read(on_cluster, table)


def test_a_bucket_that_fits_into_no_memory_stops_the_run_before_anything_is_trained(
    make_job: Callable[..., LocalJob],
) -> None:
    job = make_job(memory=Memory(of_task=WORKER // 4, cores=2))
    with pytest.raises(NotEnoughMemory, match=r"bucket \d needs about .*largest groups: .*\(42 rows\).*large_groups"):
        train.run(job)
    assert (job.planned, job.store.open("ledger")) == ([], None)


def test_a_large_group_is_trained_on_a_sample_or_failed_as_declared(make_job: Callable[..., LocalJob]) -> None:
    sampled, failed = (
        make_job(then, large_groups={"rows": 20, "then": then}, windows={"train": 14, "evaluate": 7, "min_rows": 4})
        for then in ("sample", "fail")
    )
    train.run(sampled)
    reasons = {row["group"]: (row["state"], row["reason"]) for row in read(sampled, "ledger")}
    assert reasons["a"] == ("trained", "sampled: more than 20 rows")
    assert 10 < {row["group"]: row["learnt"] for row in read(sampled, "ledger")}["a"] < 28
    with pytest.raises(TooManyFailed, match=r"7 of 8 groups failed.*TooManyRows \(7\)"):
        train.run(failed)


def test_a_lost_group_fails_the_run_by_name_and_writes_nothing(make_job: Callable[..., LocalJob]) -> None:
    job = make_job(losing="../../x")
    with pytest.raises(LedgerNotReconciled, match=r"missing: \.\./\.\./x"):
        train.run(job)
    assert (job.store.open("models"), job.store.open("ledger")) == (None, None)


def test_a_bucket_left_out_of_the_files_fails_the_run_by_its_groups(
    make_job: Callable[..., LocalJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, whole = make_job(), train.list_features

    def without_one_bucket(*arguments: Any, **named: Any) -> FeatureFiles:
        listing = whole(*arguments, **named)
        files, rows = dict(listing.files), dict(listing.rows)
        del files[groups.bucket("a", 4)], rows[groups.bucket("a", 4)]
        return replace(listing, files=files, rows=rows)

    monkeypatch.setattr(train, "list_features", without_one_bucket)
    with pytest.raises(LedgerNotReconciled, match=r"8 groups were expected, .*missing: .*\ba\b"):
        train.run(job)


def test_too_many_failed_groups_fail_the_run_after_the_ledger_is_written(make_job: Callable[..., LocalJob]) -> None:
    job = make_job(max_failed=0.1)
    with pytest.raises(TooManyFailed, match=r"1 of 8 groups failed.*InfiniteValues"):
        train.run(job)
    assert len(read(job, "ledger")) == len(GROUPS)


def test_a_run_in_which_every_group_fails_still_leaves_a_ledger(make_job: Callable[..., LocalJob]) -> None:
    job = make_job(features={"columns": ["signal", "noise", "later"], "buckets": 4}, write=False)
    write_features_without(job, "later")
    with pytest.raises(TooManyFailed, match="8 of 8 groups failed"):
        train.run(job)
    assert {row["error_class"] for row in read(job, "ledger")} == {"MissingColumn"}


def write_features_without(job: Job, column: str) -> None:
    declared = Workload.model_validate(DECLARED)
    assert column not in declared.features.columns
    write_features(job.store, pa.concat_tables([rows_of(declared, group) for group in GROUPS]))
    write_down(job.context)


def test_an_estimator_that_cannot_work_is_refused_before_any_group(make_job: Callable[..., LocalJob]) -> None:
    job = make_job(algorithms={"one": "sklearn.linear_model.LogisticRegresion"})
    with pytest.raises(WorkloadError, match=r"made\.yaml: algorithms\.one\.0"):
        train.run(job)
    assert job.planned == []


def test_what_killed_tasks_left_is_swept_out(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    folder = Path(job.store.uri(job.store.packs)) / train.run(job)["run"]
    (folder / ".2-0123.part").write_bytes(b"half")
    train.run(job)
    assert {file.name for file in folder.iterdir()} == {Path(row["shard"]).name for row in read(job, "models")}


def test_several_algorithms_are_trained_in_one_pass_and_the_group_is_still_one_row(
    make_job: Callable[..., LocalJob],
) -> None:
    job = make_job(algorithms=SEVERAL)
    result = train.run(job)
    assert result["models"] == {"logistic": 5, "outliers": 6, "searched": 5}
    assert [len(bins) for bins in job.planned] == [4]
    ledger = {row["group"]: row for row in read(job, "ledger")}
    assert list(ledger) == sorted(GROUPS)
    assert ledger["a"]["reason"] is None
    one_class = "logistic skipped: one class only; searched skipped: one class only"
    assert (ledger["one class"]["state"], ledger["one class"]["reason"]) == ("trained", one_class)
    assert ledger["infinite"]["reason"] == "infinite values in noise"
    models = read(job, "models")
    assert {row["algorithm"] for row in models if row["group"] == "a"} == set(SEVERAL)
    assert {row["mlflow_run_id"] for row in models if row["algorithm"] == "searched"} == {"m-searched"}
    sizes = {group: sum(row["length"] for row in models if row["group"] == group) for group in ledger}
    assert sizes == {group: row["bytes"] for group, row in ledger.items()}


def test_the_order_of_algorithms_in_the_yaml_changes_nothing(make_job: Callable[..., LocalJob]) -> None:
    one, other = make_job("one", algorithms=SEVERAL), make_job("two", algorithms=dict(reversed(SEVERAL.items())))
    assert train.run(one) == train.run(other)
    assert read(one, "models") == read(other, "models")


def test_days_on_which_nothing_happened_are_a_run_of_no_group(make_job: Callable[..., LocalJob]) -> None:
    job = make_job()
    train.run(job)
    rows = features_schema(job.workload).empty_table()
    write_features(job.store, rows)
    with pytest.raises(NoFeatures, match="run ingest and features first"):
        train.run(job)
    land_nothing(job.store, "place,at,delay", job.windows.run.days())
    result = train.run(job)
    counts = ("groups", "trained", "skipped", "failed", "rows", "models", "mlflow_run_id")
    assert [result[name] for name in counts] == [0, 0, 0, 0, 0, {}, "m-logistic"]
    assert (read(job, "ledger"), read(job, "models")) == ([], [])
    assert train.run(job) == result


@pytest.mark.spark
def test_on_spark_the_rows_and_bytes_are_those_of_a_plain_loop(
    make_job: Callable[..., LocalJob], spark_connect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_job("plain", algorithms=SEVERAL)
    expected = train.run(plain)
    monkeypatch.setenv("SPARK_REMOTE", spark_connect_server)
    local = make_job("spark", algorithms=SEVERAL)
    job = Job("train", local.context, local.settings, "1")
    try:
        assert train.run(job) == expected
        assert train.run(job) == expected
        assert job.over_bins([], lambda _: OUTCOMES.empty_table(), OUTCOMES).num_rows == 0  # a run of no group
    finally:
        job.spark.stop()  # else this process would wait for the stopped server when it ends
    for table in ("models", "ledger"):
        assert read(job, table) == read(plain, table)


def test_a_late_group_is_skipped_and_its_data_make_another_run(make_job: Callable[..., LocalJob]) -> None:
    def observed(groups: Iterable[str], day: date) -> None:
        table = pa.table({"group": list(groups), "date": pa.array([day] * len(list(groups)), pa.date32())})
        write_deltalake(make_job(write=False).store.table("observations"), table, partition_by=["date"], mode="append")

    last = date(2024, 2, 4)
    observed(GROUPS, last - timedelta(days=7))
    for number in range(7):
        observed(set(GROUPS) - {"a", "few"}, last - timedelta(days=number))
    without = train.run(make_job())
    job = make_job(freshness={"stale_after": 7})
    result = train.run(job)
    ledger = {row["group"]: row for row in read(job, "ledger")}
    assert {group for group, row in ledger.items() if (row["reason"] or "").startswith("stale")} == {"a", "few"}
    assert (ledger["a"]["state"], ledger["a"]["reason"]) == ("skipped", "stale: no observation since 2024-01-28")
    assert (result["trained"], result["skipped"], result["stale"], result["coverage"]) == (4, 3, 2, 0.75)
    assert result["reasons"]["stale"] == 2
    assert [row["group"] for row in read(job, "models")] == sorted(set(TRAINED) - {"a"})
    assert result["run"] != without["run"]
    observed({"a", "few"}, last)
    come = train.run(make_job(freshness={"stale_after": 7}))
    assert (come["run"], come["stale"], come["coverage"]) == (without["run"], 0, 1.0)
