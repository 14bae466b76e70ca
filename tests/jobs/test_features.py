"""The features job on real Spark: what `compute` gives in pandas, laid out by bucket, whatever the partitioning."""

from __future__ import annotations

import importlib
import pickle
import sys
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from muster import groups
from muster.features.compute import compute
from muster.features.each_group import FeaturesFailed
from muster.features.slices import out_of_date, slices_to_build
from muster.ingest.names import names
from muster.storage.delta import marked_version
from muster.storage.store import Store
from muster.storage.tables import ARROW_TYPES, features_schema, observations_schema
from muster.workload.column import ColumnType
from muster.workload.functions import function
from muster.workload.load import load_workload
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster_jobs import features
from muster_jobs import groups as spark_groups
from muster_jobs.job import Job
from tests.jobs.conftest import MakeJob

pytestmark = pytest.mark.spark

DECLARED = """
keys: [place, line]
time: at
columns: {place: string, line: string, at: timestamp, delay: "float?"}
unique: [place, line, at]
label: {column: delay, above: 15}
features: {columns: [hour, late, inverse], lookback: 7, buckets: 3}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 14, evaluate: 7}
pack: {fallback: {keys: [line], share: 0.5}}
schedule: {start: 2024-01-01}
"""
OWN = """
import numpy as np
import pandas as pd

SCALE = 2.0


def features(rows):
    known = rows.groupby(["group", "date"])["label"].agg(late="sum", known="count").reset_index("date")
    earlier = known.groupby("group").rolling("7D", on="date", closed="left")[["late", "known"]].sum().fillna(0)
    counted = rows[["group", "date"]].merge(earlier.reset_index(), on=["group", "date"], how="left")
    late = (counted["late"] + 1) / (counted["known"] + 4)
    with np.errstate(divide="ignore"):
        inverse = 1 / (rows["at"].dt.hour - 6)
    return pd.DataFrame({"hour": SCALE * rows["at"].dt.hour, "late": late.to_numpy(), "inverse": inverse})
"""
GROUPS = [("a", "1"), ("b", "1"), ("../../x", "2"), ('ü "q", z', "2"), ("x" * 300, "1"), ("*", "2"), ("", "1")]
FIRST, PARTITION = date(2024, 1, 1), date(2024, 1, 29)
PARENTS = {"*,1", "*,2"}


@pytest.fixture(scope="module")
def yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workloads")
    (folder / "made.py").write_text(OWN)
    (folder / "made.yaml").write_text(DECLARED)
    return folder / "made.yaml"


def observations(workload: Workload) -> pa.Table:
    """Return three rows a group and day of five weeks; the last group has none in the last week."""
    rows = []
    for keys in GROUPS:
        name = groups.name(keys)
        random = np.random.default_rng(groups.seed(name, 0))
        for number in range(28 if keys == GROUPS[-1] else 35):
            day = FIRST + timedelta(days=number)
            for hour in (6, 12, 18):
                at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
                delay = float(random.normal(10, 20)) if random.random() < 0.9 else None
                row = {"place": keys[0], "line": keys[1], "at": at, "delay": delay, "group": name, "date": day}
                bucket = groups.bucket(name, workload.features.buckets)
                rows.append(row | {"bucket": bucket, "row_id": groups.name((*keys, f"{at:%Y-%m-%d %H:%M:%S}"))})
    return pa.Table.from_pylist(rows, observations_schema(workload))


def write_observations(root: Path, yaml: Path, buckets: int = 3) -> Path:
    """Return `root`, a store in which the observations are."""
    workload = load_workload(yaml)
    declared = workload.model_copy(update={"features": workload.features.model_copy(update={"buckets": buckets})})
    write_deltalake(Store(str(root), "made").table("observations"), observations(declared), partition_by=["date"])
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, yaml: Path) -> Path:
    return write_observations(tmp_path_factory.mktemp("store"), yaml)


KEYS: dict[ColumnType, list[object]] = {
    "string": ["a", "", "*", 'a"b', "a,b", " a", "a\u2003", "ü\n"],
    "int": [7, -7, 0, 10**7, 2**62],
    "float": [1.0, 0.1, 1e7, 1e16, 1e-4, -2.5, 123456789.125, 1e300],
    "bool": [True, False],
    "date": [date(2024, 1, 8), date(1, 1, 1), date(9999, 12, 31)],
    "timestamp": [datetime(2024, 1, 8, 10, 0, 0, part, tzinfo=UTC) for part in (0, 120_000, 1)],
}


@pytest.mark.parametrize("kind", KEYS)
def test_groups_have_the_names_that_ingest_gave_them(spark: SparkSession, kind: ColumnType) -> None:
    keys = pa.table({"key": pa.array(KEYS[kind], ARROW_TYPES[kind])})
    named = (
        spark.createDataFrame(keys)
        .select(spark_groups.name([F.col("key"), F.col("key")]).alias("group"))
        .toArrow()["group"]
    )
    assert named.to_pylist() == names([keys["key"], keys["key"]]).to_pylist()


def table(job: Job) -> pd.DataFrame:
    delta_table = job.store.open("features")
    assert delta_table is not None
    read = pa.table(delta_table.to_pyarrow_table()).cast(features_schema(job.workload))
    return read.to_pandas().sort_values(["group", "time", "row_id"], ignore_index=True)


def expected(job: Job) -> pd.DataFrame:
    """Compute the slices of the first partition in pandas: no Spark, all groups at once, parents after."""
    workload, windows = job.workload, job.windows
    days = DateRange(windows.history.start, windows.score.stop)
    own = function(workload, job.context.folder, "features")
    rows = compute(workload, own, observations(workload), days).to_pandas()
    sampled = rows[[zlib.crc32(row_id.encode()) < 2**31 for row_id in rows["row_id"]]]
    of_parent = [groups.parent_name(workload.keys, groups.values(name), ["line"]) for name in sampled["group"]]
    rows = pd.concat([rows, sampled.assign(group=of_parent, parent=True)])
    rows["partition"] = [(day - timedelta(days=day.weekday())).isoformat() for day in rows["date"]]
    rows["bucket"] = [groups.bucket(name, workload.features.buckets) for name in rows["group"]]
    rows = rows.astype({"bucket": "int32"})
    return rows.sort_values(["group", "time", "row_id"], ignore_index=True)


@pytest.fixture
def built_job(make_job: MakeJob, yaml: Path, root: Path) -> Job:
    """The job of a store in which the features of the partition are."""
    job = make_job("features", yaml, PARTITION, root)
    if job.store.open("features") is None:
        features.run(job)
    return job


def test_the_table_holds_what_pandas_computes_and_each_parents_share(built_job: Job) -> None:
    rows = table(built_job)
    pd.testing.assert_frame_equal(rows, expected(built_job))
    assert set(rows.loc[rows["parent"], "group"]) == PARENTS


def test_infinite_features_reach_training(built_job: Job) -> None:
    assert np.isinf(table(built_job)["inverse"]).any()


def test_a_slice_and_bucket_is_one_file_in_the_order_of_training(built_job: Job) -> None:
    delta_table = built_job.store.open("features")
    assert delta_table is not None
    actions = pa.table(delta_table.get_add_actions(flatten=True)).to_pylist()
    places = [(item["partition.partition"], item["partition.bucket"]) for item in actions]
    assert len(places) == len(set(places))
    assert {partition for partition, _ in places} == {"2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29"}
    for item in actions:
        rows = pq.read_table(f"{built_job.store.table('features')}/{item['path']}", partitioning=None).to_pandas()
        order = rows[["group", "time", "row_id"]]
        assert order.equals(order.sort_values(["group", "time", "row_id"], ignore_index=True))


def test_the_same_partition_again_gives_the_same_rows_and_builds_its_own_slice_only(built_job: Job) -> None:
    before = table(built_job)
    result = features.run(built_job)
    assert (result["slices"], result["groups"], result["parents"]) == (1, len(GROUPS) - 1, 2)
    assert result["rows"] == (before["partition"] == "2024-01-29").sum()
    pd.testing.assert_frame_equal(table(built_job), before)
    delta_table = built_job.store.open("features")
    assert delta_table is not None
    assert result["features_version"] == delta_table.version()


def test_an_error_for_one_group_leaves_the_others_and_their_parents_as_they_are(
    make_job: MakeJob, tmp_path: Path, built_job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    raising = 'def features(rows):\n    if "b,1" in set(rows["group"]):\n        raise ValueError("scale of b,1")\n'
    (tmp_path / "made.py").write_text(OWN.replace("def features(rows):\n", raising))
    (tmp_path / "made.yaml").write_text(DECLARED)
    job = make_job("features", tmp_path / "made.yaml", PARTITION, write_observations(tmp_path, tmp_path / "made.yaml"))
    result = features.run(job)
    theirs, ours = table(job), table(built_job)
    assert (result["failed"], result["groups"], result["rows"]) == (1, len(GROUPS), len(theirs))
    assert "features of 'b,1' failed: ValueError: scale of b,1\n" in capsys.readouterr().err
    failed = theirs["feature_error"].notna()
    assert set(theirs.loc[failed, "group"]) == {"b,1"}
    row_ids = set(ours.loc[ours["group"] == "b,1", "row_id"])
    pd.testing.assert_frame_equal(
        theirs[~failed].reset_index(drop=True), ours[~ours["row_id"].isin(row_ids)].reset_index(drop=True)
    )
    assert set(theirs.loc[failed, "row_id"]) == row_ids


def test_slices_of_a_function_that_fails_for_too_many_groups_are_out_of_date(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text("def features(rows):\n    return rows['kg']\n")
    (tmp_path / "made.yaml").write_text(DECLARED)
    job = make_job("features", tmp_path / "made.yaml", PARTITION, write_observations(tmp_path, tmp_path / "made.yaml"))
    with pytest.raises(FeaturesFailed, match=r"failed for 7 of 7 groups, .*: KeyError: 'kg' \(7\)"):
        features.run(job)
    assert out_of_date(job.context, job.windows.score) == {PARTITION: "another feature function"}


def test_buckets_and_the_order_of_partitions_change_no_row(
    make_job: MakeJob, yaml: Path, tmp_path: Path, built_job: Job
) -> None:
    root = write_observations(tmp_path, yaml, buckets=5)
    for partition in (PARTITION - timedelta(days=7), PARTITION):
        job = make_job("features", yaml, partition, root, buckets=5)
        features.run(job)
    theirs, ours = table(job), table(built_job)
    within = theirs["partition"] >= "2024-01-08"
    columns = [name for name in ours.columns if name != "bucket"]
    pd.testing.assert_frame_equal(theirs.loc[within, columns].reset_index(drop=True), ours[columns])


def test_workers_run_the_code_of_the_driver_and_a_fact_is_of_its_own_commit(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml, lib = tmp_path / "made.yaml", tmp_path / "lib"
    yaml.write_text(DECLARED)
    (tmp_path / "made.py").write_text(f"import acme_hours\n{OWN.replace('SCALE * rows', 'acme_hours.scale() * rows')}")
    lib.mkdir()
    monkeypatch.syspath_prepend(str(lib))
    root = write_observations(tmp_path, yaml)
    for scale in (1, 20, 300):
        (lib / "acme_hours.py").write_text(f"class Own:\n    scale = {scale}\n\n\ndef scale():\n    return {scale}\n")
        for name in {"acme_hours", "muster_workload_made"} & sys.modules.keys():  # a job is a process of its own
            del sys.modules[name]
        importlib.invalidate_caches()
        job = make_job("features", yaml, PARTITION, root)
        features.run(job)
        assert set(table(job)["hour"]) == {6 * scale, 12 * scale, 18 * scale}
        own = importlib.import_module("acme_hours").Own
        stored = job.over_bins(
            [[0]],
            lambda bucket, own=own: pa.table(
                {"stored": [pickle.dumps(own)], "module": [own.__module__], "scale": [own.scale]}
            ),
            pa.schema([("stored", pa.binary()), ("module", pa.string()), ("scale", pa.int64())]),
        ).to_pylist()
        assert [(pickle.loads(row["stored"]), row["scale"]) for row in stored] == [(own, scale)]
    assert slices_to_build(job.context).reasons == {}

    def after_another_wrote(store: Store, name: str, mark: str, since: int) -> int | None:
        if name == "features":  # and the other died before it wrote its facts
            write_deltalake(job.store.table(name), table(job), mode="overwrite", partition_by=["partition", "bucket"])
        return marked_version(store, name, mark, since)

    monkeypatch.setattr("muster_jobs.job.marked_version", after_another_wrote)
    features.run(job)
    assert slices_to_build(job.context).reasons[PARTITION] == "rewritten since it was built"
