"""One bucket: every group ends in one state, learns only from its own labelled rows before the cutoff."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from muster.models.loading import decode
from muster.storage.files import Files
from muster.training.bucket import read_run_rows, train_bucket
from muster.training.estimator import EstimatorFactory, StepFactory
from muster.training.fit import FitPlan
from muster.training.outcome_tables import OUTCOMES
from muster.workload.spec import Workload
from tests.training.conftest import context_of

NASTY = [
    "../../x",
    "/etc/passwd",
    "a'; drop table ledger; --",
    '"quoted ""twice"""',
    "Zürich,東京,🛫",
    "x" * 300,
    " ",
    "null",
    "nul\0within",
    "line\nbreak",
    "%s {} ${HOME} $(id)",
]
BROKEN = {
    "too few rows": {"rows": 19},
    "one class": {"label": [1.0] * 60},
    "unlabelled": {"label": [None] * 60},
    "infinite": {"noise": [np.inf] + [0.0] * 59},
    "all unknown": {"signal": [None] * 60, "noise": [None] * 60},
    "odd label": {"label": [2.0, 0.0] * 30},
    "no features": {"signal": [None] * 60, "feature_error": [None] * 59 + ["KeyError: 'kg'"]},
}
ENDS = {
    "too few rows": ("skipped", "too few labelled rows", None),
    "one class": ("skipped", "one class only", None),
    "unlabelled": ("skipped", "too few labelled rows", None),
    "infinite": ("failed", "infinite values in noise", "InfiniteValues"),
    "all unknown": ("failed", None, "ValueError"),
    "odd label": ("failed", "the label 2 is neither 0 nor 1", "NotALabel"),
    "no features": ("failed", "the feature function raised KeyError: 'kg'", "FeatureFunctionFailed"),
}


class Picky(LogisticRegression):
    """Raises for one group's values only."""

    def fit(self, features: np.ndarray, labels: np.ndarray) -> Any:
        if features[0, 1] == 13:
            raise ArithmeticError("thirteen")
        return super().fit(features, labels)


@pytest.fixture
def train(make_plan: Callable[..., FitPlan], folder: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """Return how the given groups ended, by group, and where the model of the first algorithm is stored."""

    def run(*parts: pa.Table, plan: FitPlan | None = None, bucket: int = 0) -> dict[str, dict[str, Any]]:
        rows = pa.concat_tables(parts).sort_by([("group", "ascending"), ("time", "ascending"), ("row_id", "ascending")])
        outcomes = train_bucket(plan or make_plan(), rows, bucket, Files(str(folder)), "shards")
        assert outcomes.schema == OUTCOMES
        results = {row["group"]: {**row["fits"][0], **row} for row in outcomes.to_pylist()}
        assert len(results) == outcomes.num_rows
        return results

    return run


@pytest.fixture
def model_of(folder: Path) -> Callable[[dict[str, Any]], Any]:
    def load(row: dict[str, Any]) -> Any:
        data = Files(str(folder)).read(row["shard"], row["offset"], row["length"])
        return decode(data, row["sha256"], row["group"], row["shard"])

    return load


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_group_is_recorded_and_the_others_go_on(
    fault: str, train: Callable[..., Any], group_rows: Callable[..., pa.Table]
) -> None:
    results = train(group_rows("a"), group_rows("b", **BROKEN[fault]), group_rows("c"))
    assert [results["a"]["state"], results["c"]["state"]] == ["trained", "trained"]
    state, reason, error = ENDS[fault]
    assert (results["b"]["state"], results["b"]["error_class"]) == (state, error)
    assert results["b"]["reason"] == reason or (reason is None and results["b"]["reason"])
    assert results["b"]["shard"] is None
    assert results["b"]["length"] is None


def test_an_estimator_that_raises_for_one_group_fails_that_group_only(
    train: Callable[..., Any], make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table]
) -> None:
    plan = replace(
        make_plan(),
        factories=(EstimatorFactory("own", (StepFactory(Picky, {}),)),),
        allowed_imports=(__name__.split(".")[0],),
    )
    results = train(group_rows("a"), group_rows("b", noise=[13.0] * 60), group_rows("c"), plan=plan)
    assert {group: row["state"] for group, row in results.items()} == {"a": "trained", "b": "failed", "c": "trained"}
    assert (results["b"]["error_class"], results["b"]["reason"]) == ("ArithmeticError", "thirteen")


def test_a_bucket_without_a_declared_column_fails_every_group_by_name(
    train: Callable[..., Any], group_rows: Callable[..., pa.Table]
) -> None:
    rows = [group_rows(group).drop_columns("noise") for group in "ab"]
    results = train(*rows)
    assert {row["error_class"] for row in results.values()} == {"MissingColumn"}


def test_a_bucket_in_which_nothing_trains_leaves_no_shard(
    train: Callable[..., Any], group_rows: Callable[..., pa.Table], folder: Path
) -> None:
    assert train(group_rows("a", rows=3))["a"]["state"] == "skipped"
    assert not (folder / "shards").exists()


def test_an_empty_bucket_has_no_outcome(
    make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table], folder: Path
) -> None:
    assert train_bucket(make_plan(), group_rows("a").slice(0, 0), 0, Files(str(folder)), "shards").num_rows == 0


def test_any_name_is_a_group_like_any_other(
    train: Callable[..., Any], model_of: Callable[..., Any], group_rows: Callable[..., pa.Table], folder: Path
) -> None:
    results = train(*(group_rows(name) for name in NASTY))
    assert set(results) == set(NASTY)
    assert {row["state"] for row in results.values()} == {"trained"}
    for row in results.values():
        assert model_of(row).coef_.shape == (1, 2)
    assert [file.parent for file in folder.rglob("*.bin")] == [folder / "shards"]


def test_a_group_learns_from_its_own_rows(
    train: Callable[..., Any], model_of: Callable[..., Any], group_rows: Callable[..., pa.Table]
) -> None:
    results = train(group_rows("a"), group_rows("b", label=[None] * 30 + [0.0, 1.0] * 15), group_rows("c", rows=44))
    own = group_rows("b").slice(30)
    expected = LogisticRegression().fit(np.column_stack([own["signal"], own["noise"]]), [0, 1] * 15)
    np.testing.assert_array_equal(model_of(results["b"]).coef_, expected.coef_)
    assert (results["b"]["rows"], results["b"]["positives"]) == (30, 15)


def test_no_row_from_the_cutoff_on_is_learnt_from(
    train: Callable[..., Any],
    model_of: Callable[..., Any],
    make_plan: Callable[..., FitPlan],
    group_rows: Callable[..., pa.Table],
) -> None:
    plan = make_plan()
    early = group_rows("a", rows=40)
    late = group_rows("a", rows=40, first=plan.train.stop, days=7, label=[1.0, 0.0] * 20, signal=[9.0, -9.0] * 20)
    before = group_rows("a", rows=40, first=plan.train.start - timedelta(days=7), days=7, signal=[-9.0, 9.0] * 20)
    assert pc.min(late["date"]).as_py() == plan.train.stop
    assert pc.max(before["date"]).as_py() == plan.train.start - timedelta(days=1)
    alone, among = train(early), train(before, early, late)
    assert among["a"]["rows"] == 40
    assert model_of(among["a"]).coef_.tolist() == model_of(alone["a"]).coef_.tolist()


def test_a_group_seen_only_from_the_cutoff_on_enters_and_is_skipped(
    train: Callable[..., Any], make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table]
) -> None:
    results = train(group_rows("a"), group_rows("new", first=make_plan().train.stop, days=7))
    assert (results["new"]["state"], results["new"]["rows"]) == ("skipped", 0)


def test_a_models_bytes_do_not_depend_on_the_groups_beside_it(
    train: Callable[..., Any], make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table]
) -> None:
    plan = make_plan(algorithms={"forest": {"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 3}}})
    parts = [group_rows(f"g{number}", rows=40 + number) for number in range(9)]
    together = train(*parts, plan=plan)
    for part in parts:
        group = part["group"][0].as_py()
        assert train(part, plan=plan, bucket=5)[group]["sha256"] == together[group]["sha256"]


def test_a_bucket_again_is_the_same_shard(
    train: Callable[..., Any], group_rows: Callable[..., pa.Table], folder: Path
) -> None:
    parts = [group_rows(group) for group in "abc"]
    first, second = train(*parts), train(*parts)
    assert [row["shard"] for row in first.values()] == [row["shard"] for row in second.values()]
    assert len(list((folder / "shards").iterdir())) == 1


def test_a_parent_group_is_marked(train: Callable[..., Any], group_rows: Callable[..., pa.Table]) -> None:
    results = train(group_rows("*,b", parent=[True] * 60), group_rows("a,b"))
    assert {group: row["parent"] for group, row in results.items()} == {"*,b": True, "a,b": False}


def test_fits_run_on_one_thread(
    train: Callable[..., Any], make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table]
) -> None:
    threads: list[int] = []

    def make() -> Any:
        threads.extend(library["num_threads"] for library in threadpool_info())
        return LogisticRegression()

    train(group_rows("a"), plan=replace(make_plan(), factories=(EstimatorFactory("own", (StepFactory(make, {}),)),)))
    assert set(threads) == {1}


def test_models_that_do_not_converge_fill_no_log(
    train: Callable[..., Any],
    make_plan: Callable[..., FitPlan],
    group_rows: Callable[..., pa.Table],
    recwarn: pytest.WarningsRecorder,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    plan = make_plan(algorithms={"logistic": {"sklearn.linear_model.LogisticRegression": {"max_iter": 1}}})
    assert train(group_rows("a"), group_rows("b"), plan=plan)["a"]["state"] == "trained"
    assert (list(recwarn), caplog.text, capfd.readouterr()) == ([], "", ("", ""))


def test_a_group_enters_by_its_rows_of_the_windows_only(
    declare: Callable[..., Workload], group_rows: Callable[..., pa.Table], tmp_path: Path
) -> None:
    context = context_of(declare(), tmp_path).at("2024-02-05")
    windows = context.windows
    assert (windows.run.start, windows.run.stop) == (windows.train.start, windows.partition)
    day = timedelta(days=1)
    firsts = {"early": windows.train.start - day, "first": windows.train.start}
    firsts |= {"last": windows.partition - day, "late": windows.partition}
    parts = [group_rows(group, first=first, days=1) for group, first in firsts.items()]
    pq.write_table(pa.concat_tables(parts), tmp_path / "part.parquet")
    rows = read_run_rows(context, [str(tmp_path / "part.parquet")])
    assert set(rows["group"].to_pylist()) == {"first", "last"}


def test_a_search_gets_each_groups_rows_in_order_of_time_however_they_were_written(
    declare: Callable[..., Workload], group_rows: Callable[..., pa.Table], tmp_path: Path
) -> None:
    context = context_of(declare(), tmp_path).at("2024-02-05")
    rows = pa.concat_tables([group_rows("b"), group_rows("a")])
    files = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    for number, file in enumerate(files):
        shuffled = np.random.default_rng(number).permutation(np.arange(number, rows.num_rows, 2))
        pq.write_table(rows.take(pa.array(shuffled)), file)
    read_back = read_run_rows(context, files)
    order = list(zip(read_back["group"].to_pylist(), read_back["time"].to_pylist(), strict=True))
    assert len(order) == 120
    assert order == sorted(order)


def test_a_column_is_missing_only_where_no_file_has_it(
    declare: Callable[..., Workload], group_rows: Callable[..., pa.Table], tmp_path: Path
) -> None:
    context = context_of(declare(), tmp_path).at("2024-02-05")
    without, whole = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(group_rows("a").drop_columns("noise"), without)
    pq.write_table(group_rows("b"), whole)
    assert "noise" not in read_run_rows(context, [str(without)]).column_names
    both = read_run_rows(context, [str(without), str(whole)])
    assert both["noise"].null_count == 60


def test_a_stale_group_is_skipped_with_the_day_of_its_last_row_and_the_others_are_as_without(
    train: Callable[..., Any], make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table]
) -> None:
    rows = [group_rows("a"), group_rows("b", signal=[np.inf] * 60)]
    stale = train(*rows, plan=replace(make_plan(), stale={"b": date(2024, 1, 20), "of no row": date(2024, 1, 1)}))
    assert (stale["b"]["state"], stale["b"]["reason"]) == ("skipped", "stale: no observation since 2024-01-20")
    assert (stale["b"]["shard"], stale["b"]["error_class"]) == (None, None)
    assert stale["a"]["sha256"] == train(*rows)["a"]["sha256"]
    assert set(stale) == {"a", "b"}
