"""The monitor job on made tables, its bins run here: what it says of answers, outcomes and features, and says again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score

from muster.outcomes.classes import class_counts
from tests.monitoring.made import PARTITION, RUN, Made

NEXT = PARTITION + timedelta(days=7)
NAMES = [f"place {number}" for number in range(12)]


def only(group: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Any:
    """Change one group's rows."""
    return lambda name, rows: change(rows) if name == group else rows


def in_slice(rows: pd.DataFrame, first: date = PARTITION) -> pd.Series:
    return rows["partition"] == first.isoformat()


def slice_of(made: Made, group: str) -> pd.DataFrame:
    rows = made.frame(group)
    return rows[in_slice(rows)]


def test_the_metric_is_that_of_what_was_answered_then(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    counts = made.monitor()
    for group, row in made.table().drop("*").iterrows():
        rows = slice_of(made, str(group))
        assert row["score"] == pytest.approx(roc_auc_score(rows["label"], rows["score"]), rel=1e-12)
        assert row["bias"] == pytest.approx((rows["score"] - rows["label"]).mean(), rel=1e-9)
        assert (row["state"], row["alarm"], row["rows"], row["labelled"]) == ("judged", None, 140, 140)
    assert (counts["groups"], counts["degraded"], counts["drifted"], counts["alarms"]) == (3, 0, 0, {})


def test_a_degraded_group_is_found_and_announced(tmp_path: Path) -> None:
    def broken(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(score=np.where(in_slice(rows), 1 - rows["score"], rows["score"]))

    made = Made(tmp_path, NAMES, rows=only("place 3", broken)).write()
    counts = made.monitor()
    table = made.table()
    assert table.index[table["alarm"] == "degraded"].tolist() == ["place 3"]
    told = counts["alarms"]["degraded"][PARTITION.isoformat()]
    assert (told["count"], told["groups"], told["all_together"]) == (1, ["place 3"], False)
    assert told["why"].startswith("'place 3': the champion is worse than when it was judged: 0.2")
    assert "drifted" not in counts["alarms"]


def test_all_groups_a_little_worse_is_found_though_none_is_by_itself(tmp_path: Path) -> None:
    def noisier(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        random = np.random.default_rng(len(group) + ord(group[-1]))
        return rows.assign(score=rows["score"] + in_slice(rows) * random.normal(0, 0.25, len(rows)))

    made = Made(tmp_path, [f"place {number}" for number in range(60)], rows=noisier).write()
    made.monitor()
    table = made.table()
    assert table.loc["*", "alarm"] == "degraded"
    assert (table.drop("*")["alarm"] == "degraded").mean() < 0.1


def test_a_feature_that_has_other_values_is_found(tmp_path: Path) -> None:
    def other_unit(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(noise=rows["noise"] + 2.0 * in_slice(rows))

    made = Made(tmp_path, NAMES, rows=only("place 7", other_unit)).write()
    counts = made.monitor()
    row = made.table().loc["place 7"]
    assert (row["alarm"], row["drift_column"]) == ("drifted", "noise")
    assert row["psi"] > 1
    assert counts["alarms"]["drifted"][PARTITION.isoformat()]["groups"] == ["place 7"]


def test_only_the_declared_columns_are_watched(tmp_path: Path) -> None:
    def other_unit(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(noise=rows["noise"] + 2.0 * in_slice(rows))

    sections = {"monitor": {"columns": ["signal"]}}
    made = Made(tmp_path, NAMES, sections, rows=only("place 7", other_unit)).write()
    assert made.monitor()["drifted"] == 0


def test_values_that_are_missing_now_are_a_drift(tmp_path: Path) -> None:
    def gone(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(noise=rows["noise"].where(~in_slice(rows) | (np.arange(len(rows)) % 2 == 0)))

    made = Made(tmp_path, NAMES, rows=only("place 1", gone)).write()
    made.monitor()
    assert made.table().loc["place 1", ["alarm", "drift_column"]].tolist() == ["drifted", "noise"]


def test_monitored_again_with_another_champion_the_answers_are_those_of_then(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    made.monitor()
    before = made.table().drop(columns="at")
    made.decide(dict.fromkeys(made.names, 0.99), run="2024-03-18-0000bbbb")
    again = made.monitor()
    pd.testing.assert_frame_equal(made.table().drop(columns="at"), before)
    assert again["alarms"] == {}


def test_outcomes_that_come_later_are_judged_by_a_later_partition(tmp_path: Path) -> None:
    def unknown(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(label=rows["label"].where(~in_slice(rows)))

    made = Made(tmp_path, partitions=(PARTITION, NEXT), rows=unknown).write()
    counts = made.monitor()
    assert (counts["states"], counts["without_label"]) == ({"no_labels": 3}, 420)
    later = Made(tmp_path, partitions=(PARTITION, NEXT))
    later.write_features()
    counts = later.monitor(NEXT)
    assert counts["again"][PARTITION.isoformat()]["states"] == {"judged": 3}
    assert later.table()["labelled"].tolist() == [420, 140, 140, 140]


def test_what_has_not_changed_is_not_monitored_again(tmp_path: Path) -> None:
    made = Made(tmp_path, partitions=(PARTITION, NEXT)).write()
    made.monitor()
    assert "again" not in made.monitor(NEXT)


def test_a_corrected_outcome_changes_the_metric_not_the_answer(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    made.monitor()

    def corrected(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(label=np.where(in_slice(rows), 1 - rows["label"], rows["label"]))

    other = Made(tmp_path, rows=only("a", corrected))
    other.write_features()
    other.monitor()
    rows = slice_of(other, "a")
    assert other.table().loc["a", "score"] == pytest.approx(roc_auc_score(rows["label"], rows["score"]), rel=1e-12)


def test_a_row_that_features_have_no_more_is_counted(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    frames = {name: made.frame(name) for name in made.names}
    frames["b"] = frames["b"][~(in_slice(frames["b"]) & (np.arange(len(frames["b"])) % 10 == 0))]
    made.write_features(frames)
    counts = made.monitor()
    assert (counts["gone"], made.table().loc["b", "labelled"]) == (14, 126)


def test_fallback_answers_are_in_all_answers_and_not_in_the_champions_own(tmp_path: Path) -> None:
    def some(rows: pd.DataFrame) -> pd.DataFrame:
        fell = np.arange(len(rows)) % 4 == 0
        given = {"fallback": np.where(fell, "no model: prior", None), "origin_run": np.where(fell, None, RUN)}
        return rows.assign(**given, score=np.where(fell, 0.4, rows["score"]))

    made = Made(tmp_path, answers=only("a", some)).write()
    made.monitor()
    row, rows = made.table().loc["a"], slice_of(made, "a").reset_index(drop=True)
    own = rows[rows.index % 4 != 0]
    assert (row["fallback"], row["own"]) == (0.25, 105)
    assert row["score"] == pytest.approx(roc_auc_score(own["label"], own["score"]), rel=1e-12)
    answered = rows["score"].where(rows.index % 4 != 0, 0.4)
    assert row["score_of_all"] == pytest.approx(roc_auc_score(rows["label"], answered), rel=1e-12)


def test_a_group_that_others_answer_for_says_so(tmp_path: Path) -> None:
    def fallback(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(fallback="no model: prior", origin_run=None)

    made = Made(tmp_path, answers=only("a", fallback)).write()
    assert made.monitor()["states"] == {"no_own_answers": 1, "judged": 2}


def test_a_group_with_few_rows_says_so_and_raises_no_alarm(tmp_path: Path) -> None:
    def few(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows.index % 5 == 0].assign(score=lambda kept: 1 - kept["score"])

    made = Made(tmp_path, rows=only("a", few)).write()
    made.monitor()
    row = made.table().loc["a"]
    assert (row["state"], row["reason"], row["alarm"]) == ("too_few_rows", "too few rows to judge on", None)


def test_new_groups_have_drifted_from_nothing(tmp_path: Path) -> None:
    """So many that all together would, if their rows were counted."""

    def new(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[in_slice(rows)] if int(group.split()[1]) % 2 else rows

    made = Made(tmp_path, NAMES, rows=new).write()
    made.monitor()
    table = made.table()
    assert table.loc[[name for name in NAMES if int(name.split()[1]) % 2], "psi"].isna().all()
    assert table.loc["*", "psi"] < 0.01
    assert table["alarm"].isna().all()


def test_a_model_that_nobody_judged_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    made.decide({"a": 0.75, "b": 0.75})
    assert made.monitor()["states"] == {"judged": 2, "no_reference": 1}


def test_decisions_of_before_have_no_standard_error_and_serve_all_the_same(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    made.decide(dict.fromkeys(made.names, 0.75), spread=None)
    assert made.monitor()["states"] == {"judged": 3}
    assert made.table().drop("*")["p_value"].notna().all()


def test_a_partition_that_was_not_scored_is_skipped(tmp_path: Path) -> None:
    made = Made(tmp_path).write()
    assert made.monitor(NEXT)["skipped_because"] == "nothing of 2024-03-18 was scored"


def test_numbers_are_judged_by_their_errors(tmp_path: Path) -> None:
    def numbers(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(label=10 + rows["signal"], score=9.5 + rows["signal"] + 0.1 * rows["noise"])

    sections = {"outcome": {"regression": {"column": "delay"}}, "gate": {"metric": "mae"}}
    made = Made(tmp_path, NAMES, sections, rows=numbers).write()
    made.decide(dict.fromkeys(NAMES, 0.2), chance=1.0)
    counts = made.monitor()
    row, rows = made.table().loc["place 0"], slice_of(made, "place 0")
    assert row["score"] == pytest.approx(mean_absolute_error(rows["label"], rows["score"]), rel=1e-12)
    assert row["bias"] == pytest.approx((rows["score"] - rows["label"]).mean(), rel=1e-9)
    assert counts["degraded"] == len(NAMES)


def test_classes_are_judged_by_their_probabilities(tmp_path: Path) -> None:
    sections = {"outcome": {"classes": {"column": "kind", "values": ["x", "y", "z"]}}, "gate": {"metric": "log_loss"}}
    sections["columns"] = {"place": "string", "at": "timestamp", "kind": "string?"}
    names = list(Made(tmp_path, sections=sections).workload.outcome.answers)

    def classes(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        random = np.random.default_rng(3)
        each = random.dirichlet(np.ones(3), len(rows))
        labels = (each.cumsum(axis=1) > random.random((len(rows), 1))).argmax(axis=1)
        given = dict(zip(names, each.T, strict=True))
        return rows.assign(**given, label=labels.astype(float), score=each.max(axis=1), predicted="x")

    made = Made(tmp_path, sections=sections, rows=classes).write()
    made.decide(dict.fromkeys(made.names, 0.75), chance=1.09)
    made.monitor()
    row, rows = made.table().loc["a"], slice_of(made, "a")
    assert row["score"] == pytest.approx(log_loss(rows["label"], rows[names], labels=[0, 1, 2]), rel=1e-9)
    assert sum(class_counts(("x", "y", "z"), rows["label"].to_numpy()).values()) == row["labelled"]


def test_without_outcomes_drift_alone_is_watched(tmp_path: Path) -> None:
    def other_unit(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(noise=rows["noise"] + 2.0 * in_slice(rows))

    sections = {"outcome": {"none": {}}, "gate": {}}
    sections["algorithms"] = {"forest": "sklearn.ensemble.IsolationForest"}
    made = Made(tmp_path, NAMES, sections, rows=only("place 2", other_unit)).write()
    counts = made.monitor()
    assert counts["states"] == {"unlabelled": len(NAMES)}
    assert made.table().loc["place 2", "alarm"] == "drifted"


def test_scores_drift_against_those_of_the_same_model_before(tmp_path: Path) -> None:
    weeks = [PARTITION - timedelta(days=7 * number) for number in range(6)]
    run = f"{weeks[-1]}-0000aaaa"

    def higher(group: str, rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.assign(origin_run=run)
        return rows.assign(score=rows["score"] / (1 + 2 * in_slice(rows))) if group == "place 5" else rows

    made = Made(tmp_path, NAMES, partitions=weeks, answers=higher).write()
    made.decide(dict.fromkeys(NAMES, 0.75), run=run)
    made.monitor()
    assert made.table().loc["place 5", ["alarm", "drift_column"]].tolist() == ["drifted", "score"]


def test_what_comes_out_does_not_hang_on_the_buckets(tmp_path: Path) -> None:
    tables = []
    for buckets in (1, 8):
        (tmp_path / str(buckets)).mkdir()
        sections = {"features": {"columns": ["signal", "noise"], "buckets": buckets}}
        made = Made(tmp_path / str(buckets), NAMES, sections).write()
        made.monitor()
        tables.append(made.table().drop(columns=["at", "bucket", "made_from"]))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_days_of_short_slices_are_judged_together(tmp_path: Path) -> None:
    sections = {"schedule": {"start": "2024-01-01", "every": 1}}
    days = [PARTITION - timedelta(days=number) for number in range(8)]
    made = Made(tmp_path, sections=sections, partitions=days).write()
    counts = made.monitor()
    assert (counts["rows"], counts["states"]) == (7 * 60, {"judged": 3})


@pytest.mark.spark
@pytest.mark.slow
def test_on_spark_the_rows_are_those_of_a_plain_loop(
    tmp_path: Path, spark_connect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muster_jobs import monitor
    from muster_jobs.job import Job

    made = Made(tmp_path, NAMES).write()
    made.monitor()
    before = made.table().drop(columns="at")
    monkeypatch.setenv("SPARK_REMOTE", spark_connect_server)
    local = made.job()
    on_spark = Job("monitor", local.context, local.settings, "1")
    try:
        monitor.run(on_spark)
    finally:
        on_spark.spark.stop()
    pd.testing.assert_frame_equal(made.table().drop(columns="at"), before, check_exact=True)
