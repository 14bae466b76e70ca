"""The evaluate job on a small store, its bins run in this process: what it reads, writes, refuses, and does again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from scipy.stats import false_discovery_control
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from muster import groups
from muster.champions import as_of
from muster.champions.units import Unit
from muster.champions.versions import RegisteredVersion
from muster.context import PartitionContext
from muster.evaluation.candidates import NotTrained
from muster.evaluation.decisions import CorruptChampion
from muster.evaluation.significance import DOUBT
from muster.features.files import NoFeatures
from muster.mlflow.candidates import TaggedCandidate
from muster.models.manifest import MANIFEST, describe, manifest_bytes
from muster.models.manifest_reader import MANIFEST_FILE
from muster.models.shards import ShardWriter, encode
from muster.settings import Settings
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL, LEDGER, MODELS, TABLES, features_schema
from muster.workload.spec import Workload
from muster.workload.windows import partition_windows
from muster_jobs import evaluate
from muster_jobs.job import Job
from tests.jobs.conftest import LocalJob
from tests.landed import land_nothing
from tests.packs import shards_of

DECLARED = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 4},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 10},
    "gate": {"resamples": 100, "min_positives": 5, "baseline": "noise"},
    "schedule": {"start": "2024-01-01"},
}
RUN, PARTITION = "2024-02-05-0000aaaa", "2024-02-05"
GROUPS = ["a", "b", "c", "d", "skipped", "../../x", 'ü"q,']


class WritingJob(LocalJob):
    """The job with its bins run here, and Delta written without Spark."""

    def replace(self, rows: Any, table: str, where: str, at_most: int | None = None, mark: str | None = None) -> None:
        key, value = where.replace("'", "").split(" = ")
        put(self.store, table, rows, f"{key} = '{value}'")


def put(store: Store, table: str, rows: pa.Table, where: str | None = None) -> None:
    by = list(TABLES[table].partitioned_by)
    write_deltalake(store.table(table), rows, mode="overwrite", partition_by=by or None, predicate=where)


def workload(buckets: int = 4) -> Workload:
    features = DECLARED["features"] | {"buckets": buckets}  # type: ignore[operator]
    return Workload.model_validate(DECLARED | {"features": features})


def weighing(signal: float) -> LogisticRegression:
    """Return a fitted model that weighs `signal` so, and `noise` not at all."""
    model = LogisticRegression()
    model.classes_, model.coef_, model.intercept_ = np.array([0, 1]), np.array([[signal, 0.0]]), np.zeros(1)
    return model


def features(declared: Workload) -> pa.Table:
    """Return 30 rows a group and day over the windows; `signal` tells the label."""
    days = partition_windows(declared, PARTITION).history.days()
    parts = []
    for group in GROUPS:
        random = np.random.default_rng(groups.seed(group, 0))
        rows = 30 * len(days)
        when = [day for day in days for _ in range(30)]
        labels = random.random(rows) < 0.4
        monday = [(day - timedelta(days=day.weekday())).isoformat() for day in when]
        columns = {
            "group": [group] * rows,
            "parent": [False] * rows,
            "feature_error": [None] * rows,
            "row_id": [f"{group}-{number}" for number in range(rows)],
            "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in when],
            "date": when,
            "label": labels.astype(float),
            "signal": random.normal(size=rows) + labels,
            "noise": random.normal(size=rows),
            "partition": monday,
            "bucket": [groups.bucket(group, declared.features.buckets)] * rows,
        }
        parts.append(pa.table(columns, schema=features_schema(declared)))
    return pa.concat_tables(parts).sort_by([("group", "ascending"), ("time", "ascending")])


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def train(store: Store, declared: Workload, trained_to: date = date(2024, 1, 26)) -> None:
    """Write the ledger and the models of a run in which every group but one was trained."""
    trained = [group for group in GROUPS if group != "skipped"]
    with ShardWriter(store.files, f"{store.packs}/{RUN}") as shard:
        places = {group: shard.add(encode(weighing(1.0)))._asdict() for group in trained}
    assert shard.path is not None
    run = {"partition": PARTITION, "run": RUN, "parent": False, "features_version": 0, "mlflow_run_id": "m1"}
    run |= {"algorithm": "logistic"}
    run |= {"shard": shard.path, "train_to": trained_to}
    entries = [
        {**run, "group": group, "bucket": groups.bucket(group, declared.features.buckets), **places.get(group, {})}
        for group in GROUPS
    ]
    states = [entry | {"state": "trained" if entry["group"] in places else "skipped"} for entry in entries]
    put(store, "ledger", table_of(states, LEDGER), f"partition = '{PARTITION}'" if store.open("ledger") else None)
    models = table_of([entry for entry in entries if "sha256" in entry], MODELS)
    put(store, "models", models, f"partition = '{PARTITION}'" if store.open("models") else None)


def champion(
    store: Store, declared: Workload, weights: dict[str, float], partition: str = "2024-01-29"
) -> RegisteredVersion:
    """Write a champion pack and return it as version 3."""
    folder = f"{store.packs}/champion-made"
    with ShardWriter(store.files, f"{store.packs}/shards") as shard:
        places = {group: shard.add(encode(weighing(weight)))._asdict() for group, weight in weights.items()}
    assert shard.path is not None
    run = {"origin_run": "2024-01-29-0000bbbb", "shard": shard.path, "rows": 10, "positives": 4, "parent": False}
    rows = table_of([{**run, "group": group, **place} for group, place in places.items()], MANIFEST)
    described = describe(declared, rows, date.fromisoformat(partition), "2024-01-29-0000bbbb")
    data, digest = manifest_bytes(rows, described)
    store.files.put(f"{folder}/{MANIFEST_FILE}", data)
    return RegisteredVersion(Unit(declared.name, declared.name), "3", digest, partition, folder)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, float]]]:
    """Stand in for MLflow: no champion, the candidate's tag, and the metrics that were logged."""
    calls: list[tuple[str, dict[str, float]]] = []
    monkeypatch.setattr(as_of, "current", lambda *_: None)
    monkeypatch.setattr(
        "muster.mlflow.runs.add_metrics", lambda run_id, metrics, tags=None: calls.append((run_id, metrics))
    )
    candidates = [TaggedCandidate("m1", PARTITION, run, "logistic") for run in (RUN, "2024-02-05-0000cccc")]
    monkeypatch.setattr(evaluate, "tagged_candidates", lambda workload: candidates)
    monkeypatch.setattr(evaluate, "clear_tags", lambda run_ids: None)
    monkeypatch.setattr("muster.evaluation.candidates.check_models", lambda *_: None)  # see test_candidates
    return calls


@pytest.fixture
def job(tmp_path: Path, logged: list[Any]) -> LocalJob:
    """Return the job of a partition whose features are there and whose run is trained."""
    return make_job(tmp_path / "store", workload())


def make_job(root: Path, declared: Workload, cores: int = 1) -> LocalJob:
    store = Store(str(root), declared.name)
    put(store, "features", features(declared))
    train(store, declared)
    windows = partition_windows(declared, PARTITION)
    return WritingJob(
        "evaluate",
        PartitionContext(declared, root, store, windows),
        Settings(home=root, spark_cores=cores),
        "test",
    )


def decisions(job: Job) -> list[dict[str, Any]]:
    table = job.store.open("decisions")
    assert table is not None
    rows: list[dict[str, Any]] = table.to_pyarrow_table().sort_by("group").to_pylist()
    return rows


def test_every_group_of_the_ledger_gets_one_decision_and_the_result_counts_them(job: LocalJob) -> None:
    result = evaluate.run(job)
    assert [row["group"] for row in decisions(job)] == sorted(GROUPS)
    assert {row["group"] for row in decisions(job) if row["verdict"] == "promote"} == {*GROUPS} - {"skipped"}
    assert result["run"] == RUN
    assert [result[name] for name in ("groups", "promote", "hold", "reject", "judged")] == [7, 6, 1, 0, 6]
    assert result["reasons"] == {"the candidate is skipped": 1}
    assert (result["champion_version"], result["score_before"]) == (None, None)
    assert result["score_after"] > 0.7 > result["score_baseline"]


def test_the_evidence_equals_an_independent_computation(job: LocalJob) -> None:
    evaluate.run(job)
    days = job.windows.evaluate
    frame = features(job.workload).to_pandas()
    frame = frame[(frame["group"] == "a") & (frame["date"] >= days.start) & (frame["date"] < days.stop)]
    row = next(row for row in decisions(job) if row["group"] == "a")
    assert row["candidate_score"] == pytest.approx(roc_auc_score(frame["label"], frame["signal"]), abs=1e-12)
    assert row["baseline_score"] == pytest.approx(roc_auc_score(frame["label"], frame["noise"]), abs=1e-12)
    assert (row["rows"], row["positives"]) == (300, int(frame["label"].sum()))


def test_the_numbers_go_to_the_run_in_mlflow_in_one_call(job: LocalJob, logged: list[Any]) -> None:
    evaluate.run(job)
    ((run_id, metrics),) = logged
    assert run_id == "m1"
    assert (metrics["gate_promote"], metrics["gate_hold"], metrics["gate_judged"]) == (6, 1, 6)
    assert metrics["gate_rejected_as_chance"] == 0
    assert 0 < metrics["gate_false_promotion_rate"] < 0.1
    assert "gate_score_after" in metrics


def test_the_p_values_are_adjusted_for_all_groups_of_all_buckets(job: LocalJob) -> None:
    evaluate.run(job)
    judged = [row for row in decisions(job) if row["verdict"] != "hold"]
    assert len({row["bucket"] for row in judged}) > 1
    adjusted = false_discovery_control([row["p_value"] for row in judged])
    assert [row["q_value"] for row in judged] == pytest.approx(list(adjusted), rel=1e-12)


def test_a_promotion_that_chance_may_have_brought_is_written_as_a_rejection(job: LocalJob) -> None:
    gate = job.workload.gate.model_copy(update={"false_promotions": 1e-12})
    workload = job.workload.model_copy(update={"gate": gate})
    result = evaluate.run(replace(job, context=replace(job.context, workload=workload)))
    assert (result["promote"], result["reject"], result["rejected_as_chance"]) == (0, 6, 6)
    assert {row["reason"] for row in decisions(job) if row["verdict"] == "reject"} == {f"beats the baseline{DOUBT}"}


def test_running_again_writes_the_same_rows(job: LocalJob) -> None:
    evaluate.run(job)
    first = decisions(job)
    evaluate.run(job)
    assert decisions(job) == first


def test_no_row_from_before_the_cutoff_is_judged_on(job: LocalJob) -> None:
    """Invariant 5: what stands before the cutoff changes no decision, not even in the slice that it divides."""
    assert job.windows.evaluate.start.weekday() != job.windows.partition.weekday()
    evaluate.run(job)
    before = decisions(job)
    rows = features(job.workload).to_pandas()
    outside = (rows["date"] < job.windows.train.stop) | (rows["date"] >= job.windows.partition)
    assert outside.any()
    rows.loc[outside, ["signal", "label"]] = 1.0
    put(job.store, "features", pa.Table.from_pandas(rows, schema=features_schema(job.workload), preserve_index=False))
    train(job.store, job.workload)
    models = job.store.open("models")
    assert models is not None
    newest = models.to_pyarrow_table()
    version = pa.array([1] * newest.num_rows, pa.int64())
    newest = newest.set_column(newest.schema.get_field_index("features_version"), "features_version", version)
    put(job.store, "models", newest, f"partition = '{PARTITION}'")
    evaluate.run(job)
    assert decisions(job) == before


def test_a_model_that_was_trained_beyond_the_cutoff_is_refused(job: LocalJob) -> None:
    train(job.store, job.workload, trained_to=job.windows.evaluate.start + timedelta(days=1))
    with pytest.raises(NotTrained, match=r"trained on days up to 2024-01-27, but judged on days from 2024-01-26"):
        evaluate.run(job)


def test_the_features_are_those_of_the_version_that_was_trained_on(job: LocalJob) -> None:
    evaluate.run(job)
    before = decisions(job)
    later = features(job.workload)
    constant = pa.array(np.zeros(later.num_rows))
    put(job.store, "features", later.set_column(later.schema.get_field_index("signal"), "signal", constant))
    evaluate.run(job)
    assert decisions(job) == before


def test_features_in_the_place_of_those_that_were_trained_on_are_refused(job: LocalJob) -> None:
    shutil.rmtree(job.store.table("features"))
    put(job.store, "features", features(job.workload))
    with pytest.raises(NotTrained, match=r"before there was the present table of features; run train for this part"):
        evaluate.run(job)


def test_days_on_which_nothing_happened_hold_every_group(job: LocalJob) -> None:
    shutil.rmtree(job.store.table("features"))
    put(job.store, "features", features(job.workload).filter(pc.field("partition") < "2024-01-22"))
    train(job.store, job.workload)
    with pytest.raises(NoFeatures, match="run ingest and features first"):
        evaluate.run(job)
    land_nothing(job.store, "place,at,delay", job.windows.evaluate.days())
    evaluate.run(job)
    assert [(row["group"], row["verdict"]) for row in decisions(job)] == [(group, "hold") for group in sorted(GROUPS)]


def test_a_run_of_no_group_has_no_decision(job: LocalJob) -> None:
    evaluate.run(job)
    for table, schema in (("ledger", LEDGER), ("models", MODELS)):
        put(job.store, table, schema.empty_table(), f"partition = '{PARTITION}'")
    with pytest.raises(NotTrained, match="the ledger holds no row of it; run train"):
        evaluate.run(job)
    land_nothing(job.store, "place,at,delay", job.windows.run.days())
    shutil.rmtree(job.store.table("features"))
    put(job.store, "features", features_schema(job.workload).empty_table())
    result = evaluate.run(job)
    assert [result[name] for name in ("run", "groups", "promote", "hold", "reject", "judged")] == [None, 0, 0, 0, 0, 0]
    assert decisions(job) == []


@pytest.mark.parametrize(("buckets", "cores"), [(1, 1), (4, 3), (64, 2)])
def test_decisions_do_not_depend_on_the_partitioning(job: LocalJob, tmp_path: Path, buckets: int, cores: int) -> None:
    """Invariant 7: the same data and seed give the same verdicts and evidence in any number of buckets and bins."""
    evaluate.run(job)
    other = make_job(tmp_path / "other", workload(buckets), cores)
    evaluate.run(other)
    assert [row | {"bucket": 0} for row in decisions(other)] == [row | {"bucket": 0} for row in decisions(job)]


def test_the_champion_is_judged_by_group_name(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    incumbent = champion(job.store, job.workload, {"a": -1.0, "b": 2.0})
    monkeypatch.setattr(as_of, "current", lambda *_: incumbent)
    result = evaluate.run(job)
    judged = {row["group"]: (row["against"], row["verdict"], row["champion_version"]) for row in decisions(job)}
    assert judged["a"] == ("champion", "promote", "3")
    assert judged["b"] == ("champion", "reject", "3")
    assert judged["c"] == ("baseline", "promote", "3")
    assert result["champion_version"] == "3"
    assert result["score_before"] < result["score_after"]


def test_what_the_champion_may_name_is_told_to_whoever_opens_it(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = Workload.model_validate(DECLARED | {"algorithms": {"mine": "acme.old.Mine"}})
    incumbent, told = champion(job.store, earlier, {"a": -1.0}), list[str]()
    judged = LocalJob.over_bins

    def over_bins(*arguments: Any) -> pa.Table:
        told.extend(arguments[-1])
        return judged(*arguments)

    monkeypatch.setattr(as_of, "current", lambda *_: incumbent)
    monkeypatch.setattr(LocalJob, "over_bins", over_bins)
    evaluate.run(job)
    assert told == ["acme", "acme.old"]


def test_after_its_own_promotion_a_partition_is_judged_against_the_earlier_champion(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 2: evaluate run again after promote gives the same decisions."""
    incumbent = champion(job.store, job.workload, {"a": -1.0, "b": 2.0})
    monkeypatch.setattr(as_of, "current", lambda *_: incumbent)
    evaluate.run(job)
    before = decisions(job)
    moves = [(None, "3", "2024-01-29", "first"), ("3", "4", PARTITION, "second")]
    rows = [
        {"at": datetime(2024, 2, 5, number, tzinfo=UTC), "from_version": before, "to_version": after}
        | {"partition": partition, "manifest_sha256": digest, "evidence": "{}"}
        for number, (before, after, partition, digest) in enumerate(moves)
    ]
    put(job.store, "alias_journal", table_of(rows, ALIAS_JOURNAL))
    promoted = replace(incumbent, version="4", partition=PARTITION, place="nowhere")
    monkeypatch.setattr(as_of, "current", lambda *_: promoted)
    monkeypatch.setattr(as_of, "of_move", lambda unit, row, *_: {"3": incumbent}[row["to_version"]])
    evaluate.run(job)
    assert decisions(job) == before


def test_a_champion_of_other_features_is_no_opponent(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = job.workload.features.model_copy(update={"columns": ("signal", "another")})
    other = job.workload.model_copy(update={"features": renamed})
    incumbent = champion(job.store, other, {"a": 2.0})
    monkeypatch.setattr(as_of, "current", lambda *_: incumbent)
    evaluate.run(job)
    assert {(row["against"], row["champion_version"]) for row in decisions(job)} == {("baseline", "3")}


def test_a_corrupt_champion_stops_the_stage_and_the_decisions_stay_as_they_were(
    job: LocalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate.run(job)
    before = decisions(job)
    incumbent = champion(job.store, job.workload, {"a": -1.0})
    [shard] = shards_of(job.store, incumbent.place, incumbent.digest)
    shard.write_bytes(b"garbage")
    monkeypatch.setattr(as_of, "current", lambda *_: incumbent)
    with pytest.raises(CorruptChampion, match="'a'"):
        evaluate.run(job)
    assert decisions(job) == before


def test_a_partition_that_was_not_trained_is_refused(job: LocalJob) -> None:
    other = replace(job, context=job.context.at("2024-02-12"))
    with pytest.raises(NotTrained, match=r"made 2024-02-12: the ledger holds no row of it; run train"):
        evaluate.run(other)


def test_models_of_another_run_than_the_ledgers_are_refused(job: LocalJob) -> None:
    ledger = job.store.open("ledger")
    assert ledger is not None
    rows = ledger.to_pyarrow_table()
    run = pa.array(["2024-02-05-0000cccc"] * rows.num_rows)
    put(job.store, "ledger", rows.set_column(1, "run", run).select(LEDGER.names), f"partition = '{PARTITION}'")
    with pytest.raises(NotTrained, match="the models are not those of run '2024-02-05-0000cccc'"):
        evaluate.run(job)


@pytest.mark.spark
def test_on_spark_the_decisions_are_those_of_a_plain_loop(
    job: LocalJob, tmp_path: Path, spark_connect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluate.run(job)
    monkeypatch.setenv("SPARK_REMOTE", spark_connect_server)
    other = make_job(tmp_path / "spark", job.workload)
    on_spark = Job("evaluate", other.context, other.settings, "1")
    try:
        assert evaluate.run(on_spark) == expected
        assert evaluate.run(on_spark) == expected
        assert decisions(on_spark) == decisions(job)
    finally:
        on_spark.spark.stop()  # else this process would wait for the stopped server when it ends
