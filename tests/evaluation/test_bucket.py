"""Judging a bucket: who is the opponent, what is held, and that one bad model harms nobody else."""

from __future__ import annotations

import hashlib
import sys
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error
from sklearn.pipeline import make_pipeline

from muster.evaluation.bucket import Incumbents
from muster.evaluation.model_scores import CORRUPT_CANDIDATE, CORRUPT_CHAMPION, NO_CODE_OF_CHAMPION
from muster.models.manifest import MANIFEST
from muster.models.scores import scores
from muster.models.shards import encode
from muster.storage.tables import DECISIONS, MODELS
from muster.workload.spec import Workload
from tests.evaluation.conftest import WORKLOAD


def auc(bucket: Any, group: str, column: str) -> float:
    rows = bucket.rows[group]
    return float(roc_auc_score(rows["label"].to_numpy(), rows[column].to_numpy()))


def test_without_a_champion_the_baseline_is_the_opponent(bucket: Any) -> None:
    bucket.add("a", bucket.model(1.0))
    decision = bucket.judge()["a"]
    assert (decision["verdict"], decision["against"], decision["reason"]) == (
        "promote",
        "baseline",
        "beats the baseline",
    )
    assert decision["candidate_score"] == pytest.approx(auc(bucket, "a", "signal"), abs=1e-12)
    assert decision["baseline_score"] == pytest.approx(auc(bucket, "a", "known"), abs=1e-12)
    assert (decision["champion_version"], decision["champion_run"], decision["champion_score"]) == (None, None, None)
    assert (decision["rows"], decision["positives"], decision["resamples"]) == (120, 50, 200)
    assert decision["candidate_sha256"] == hashlib.sha256(encode(bucket.candidates["a"])).hexdigest()


def test_the_constant_prior_has_an_auc_of_one_half(bucket: Any) -> None:
    gate = bucket.workload.gate.model_copy(update={"baseline": "prior"})
    bucket.workload = bucket.workload.model_copy(update={"gate": gate})
    bucket.add("a", bucket.model(1.0))
    assert bucket.judge()["a"]["baseline_score"] == 0.5


def test_the_champion_is_the_opponent_of_the_groups_that_its_pack_holds(bucket: Any) -> None:
    bucket.add("worse", bucket.model(-1.0), champion=bucket.model(1.0))
    bucket.add("better", bucket.model(1.0), champion=bucket.model(-1.0))
    bucket.add("new", bucket.model(1.0))
    decisions = bucket.judge()
    assert {group: row["verdict"] for group, row in decisions.items()} == {
        "better": "promote",
        "new": "promote",
        "worse": "reject",
    }
    assert {group: row["against"] for group, row in decisions.items()} == {
        "better": "champion",
        "new": "baseline",
        "worse": "champion",
    }
    assert {row["champion_version"] for row in decisions.values()} == {"7"}
    assert decisions["better"]["champion_run"] == "2024-01-29-0000bbbb"
    assert decisions["better"]["champion_score"] == pytest.approx(1 - auc(bucket, "better", "signal"), abs=1e-12)
    assert decisions["new"]["champion_run"] is None


def test_a_candidate_equal_to_its_champion_is_rejected(bucket: Any) -> None:
    bucket.add("a", bucket.model(1.0), champion=bucket.model(2.0))
    assert (bucket.judge()["a"]["verdict"], bucket.judge()["a"]["win_rate"]) == ("reject", 0.0)


def test_every_group_of_the_ledger_is_decided_and_the_unjudged_say_why(bucket: Any) -> None:
    bucket.add("skipped")
    bucket.add("failed", bucket.model(1.0))
    bucket.ledger["failed"]["state"] = "failed"
    bucket.add("one class", bucket.model(1.0), positives=0)
    bucket.add("few", bucket.model(1.0), positives=4)
    bucket.add("no rows", bucket.model(1.0), rows=0, positives=0)
    assert {group: (row["verdict"], row["reason"]) for group, row in bucket.judge().items()} == {
        "failed": ("hold", "the candidate is failed"),
        "few": ("hold", "too few positives to judge on"),
        "no rows": ("hold", "no labelled rows to judge on"),
        "one class": ("hold", "only one class to judge on"),
        "skipped": ("hold", "the candidate is skipped"),
    }


def spread(bucket: Any, group: str, days: int) -> None:
    """Give a group's rows dates of so many days."""
    rows = bucket.rows[group]
    first, per_day = date(2024, 1, 29), rows.num_rows / days
    dates = pa.array([first + timedelta(days=int(number / per_day)) for number in range(rows.num_rows)])
    bucket.rows[group] = rows.set_column(rows.schema.get_field_index("date"), "date", dates)


def test_days_are_drawn_unless_rows_are_declared(bucket: Any) -> None:
    for group, days in (("a", 7), ("b", 4)):
        bucket.add(group, bucket.model(1.0))
        order = np.random.default_rng(0).permutation(120)
        bucket.rows[group] = bucket.rows[group].take(order)
        spread(bucket, group, days)
    by_row = bucket.judge()
    bucket.workload = Workload.model_validate(WORKLOAD | {"gate": WORKLOAD["gate"] | {"resample": "day"}})
    by_day = bucket.judge()
    assert {group: row["clusters"] for group, row in by_row.items()} == {"a": 120, "b": 120}
    assert {group: row["clusters"] for group, row in by_day.items()} == {"a": 7, "b": 4}
    assert (by_day["a"]["verdict"], by_day["b"]["reason"]) == ("promote", "too few days to judge on")
    assert by_day["a"]["candidate_score"] == by_row["a"]["candidate_score"]
    assert by_day["a"]["p_value"] >= 0.5**7 > by_row["a"]["p_value"]


@pytest.mark.parametrize(
    ("gate", "rules"),
    [
        ({}, {"a": "better", "first": "better"}),
        ({"rule": "not_worse", "margin": 0.02}, {"a": "not_worse", "first": "better"}),
        ({"max_age": "7d", "margin": 0.02}, {"a": "better", "first": "better"}),
        ({"max_age": "6d", "margin": 0.02}, {"a": "not_worse", "first": "better"}),
    ],
)
def test_which_rule_holds_for_a_champion_and_never_for_a_baseline(bucket: Any, gate: Any, rules: Any) -> None:
    """The champion is of 2024-01-29, the partition of 2024-02-05; the candidate is the very same model."""
    bucket.workload = Workload.model_validate(WORKLOAD | {"gate": WORKLOAD["gate"] | gate})
    bucket.add("a", bucket.model(1.0), champion=bucket.model(1.0))
    bucket.add("first", bucket.model(1.0))
    decisions = bucket.judge()
    assert {group: row["rule"] for group, row in decisions.items()} == rules
    expected = "promote" if rules["a"] == "not_worse" else "reject"
    assert (decisions["a"]["verdict"], decisions["first"]["verdict"]) == (expected, "promote")


def test_rows_without_a_label_are_not_judged_on(bucket: Any) -> None:
    bucket.add("a", bucket.model(1.0))
    rows = bucket.rows["a"]
    labels = pa.array([None] * 20 + rows["label"].to_pylist()[20:], pa.float64())
    bucket.rows["a"] = rows.set_column(rows.schema.get_field_index("label"), "label", labels)
    assert (bucket.judge()["a"]["rows"], bucket.judge()["a"]["positives"]) == (100, 30)


def test_rows_without_a_baseline_are_ranked_in_the_middle(bucket: Any) -> None:
    bucket.add("a", make_pipeline(SimpleImputer().fit(np.zeros((1, 2))), bucket.model(1.0)))
    rows = bucket.rows["a"]
    baseline = np.where(np.arange(120) % 3 == 0, np.nan, rows["known"].to_numpy())
    bucket.rows["a"] = rows.set_column(rows.schema.get_field_index("known"), "known", pa.array(baseline))
    middle = np.where(np.isnan(baseline), np.nanmedian(baseline), baseline)
    expected = roc_auc_score(rows["label"].to_numpy(), middle)
    assert bucket.judge()["a"]["baseline_score"] == pytest.approx(expected, abs=1e-12)


def test_a_model_that_raises_is_held_and_the_others_go_on(bucket: Any) -> None:
    bucket.add("bad candidate", bucket.broken(), champion=bucket.model(1.0))
    bucket.add("bad champion", bucket.model(1.0), champion=bucket.broken())
    bucket.add("good", bucket.model(1.0), champion=bucket.model(-1.0))
    assert {group: (row["verdict"], row["reason"]) for group, row in bucket.judge().items()} == {
        "bad candidate": ("hold", "the candidate could not score: AttributeError"),
        "bad champion": ("hold", "the champion could not score: AttributeError"),
        "good": ("promote", "beats the champion"),
    }


def test_a_model_that_ends_the_process_is_held(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("muster.evaluation.model_scores.scores", leave)
    bucket.add("a", bucket.model(1.0))
    assert bucket.judge()["a"]["reason"] == "the candidate could not score: SystemExit"


def test_the_best_of_several_algorithms_is_judged(bucket: Any) -> None:
    bucket.add("a", {"contrary": bucket.model(-1.0), "right": bucket.model(1.0)})
    bucket.add("b", {"contrary": bucket.model(1.0), "right": bucket.model(-1.0)}, champion=bucket.model(-1.0))
    decisions = bucket.judge()
    assert [(decisions[group]["verdict"], decisions[group]["algorithm"]) for group in "ab"] == [
        ("promote", "right"),
        ("promote", "contrary"),
    ]
    assert decisions["a"]["candidate_score"] == pytest.approx(auc(bucket, "a", "signal"), abs=1e-12)


def test_an_algorithm_that_cannot_score_leaves_the_choice_to_the_others(bucket: Any) -> None:
    bucket.add("a", {"broken": bucket.broken(), "right": bucket.model(1.0)})
    bucket.add("b", {"broken": bucket.broken(), "broken too": bucket.broken()})
    decisions = bucket.judge()
    assert (decisions["a"]["verdict"], decisions["a"]["algorithm"]) == ("promote", "right")
    assert (decisions["b"]["verdict"], decisions["b"]["algorithm"]) == ("hold", None)
    assert decisions["b"]["reason"] == "the candidate could not score: AttributeError"


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_candidate_that_is_not_what_was_trained_is_marked_for_refusal(bucket: Any, damage: str) -> None:
    bucket.add("a", {"damaged": bucket.model(1.0), "right": bucket.model(1.0)})
    models = bucket.pack(bucket.candidates, "run", MODELS)
    _damage(next((bucket.root / "run").glob("*.bin")), damage)
    assert bucket.judge_stored(models, None)["a"]["reason"] == CORRUPT_CANDIDATE


def _damage(shard: Path, how: str) -> None:
    data = shard.read_bytes()
    if how == "remove":
        shard.unlink()
    else:
        shard.write_bytes(data[:-1] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_champion_that_is_not_what_was_registered_is_marked_for_refusal(bucket: Any, damage: str) -> None:
    bucket.add("a", bucket.model(1.0), champion=bucket.model(-1.0))
    models = bucket.pack(bucket.candidates, "run", MODELS)
    champion = Incumbents("7", bucket.files, bucket.pack(bucket.champions, "pack", MANIFEST))
    _damage(next((bucket.root / "pack").glob("*.bin")), damage)
    assert bucket.judge_stored(models, champion)["a"]["reason"] == CORRUPT_CHAMPION


@pytest.mark.parametrize("role", ["champion", "candidate"])
def test_a_model_whose_class_is_gone_cannot_score_and_a_champion_is_marked_for_refusal(bucket: Any, role: str) -> None:
    gone = type("Gone", (LogisticRegression,), {"__module__": "acme_gone"})
    module = sys.modules["acme_gone"] = ModuleType("acme_gone")
    module.Gone = gone  # type: ignore[attr-defined]
    try:
        bucket.add("a", bucket.model(1.0), **({"champion": gone()} if role == "champion" else {}))
        bucket.candidates |= {"a": gone()} if role == "candidate" else {}
        models = bucket.pack(bucket.candidates, "run", MODELS)
        manifest = bucket.pack(bucket.champions, "pack", MANIFEST)
    finally:
        del sys.modules["acme_gone"]
    allowed = bucket.workload.pack.model_copy(update={"allowed_imports": ("acme_gone",)})
    bucket.workload = bucket.workload.model_copy(update={"pack": allowed})
    champion = Incumbents("7", bucket.files, manifest, ("acme_gone",)) if role == "champion" else None
    decision = bucket.judge_stored(models, champion)["a"]
    reasons = {"champion": f"{NO_CODE_OF_CHAMPION}acme_gone:Gone", "candidate": "the candidate could not score: CodeMi"}
    assert decision["verdict"] == "hold"
    assert decision["reason"].startswith(reasons[role])


def test_a_verdict_does_not_depend_on_which_groups_share_the_bucket(bucket: Any) -> None:
    bucket.add("m", bucket.model(1.0), champion=bucket.model(-1.0))
    alone = bucket.judge()["m"]
    for group in ("z", "a", "../../x", 'Zürich, "quoted"'):
        bucket.add(group, bucket.model(0.5), champion=bucket.model(1.0), rows=80, positives=30)
    assert bucket.judge()["m"] == alone
    bucket.ledger = dict(reversed(bucket.ledger.items()))
    assert bucket.judge()["m"] == alone


def test_decisions_have_the_columns_of_their_table(bucket: Any) -> None:
    bucket.add("a", bucket.model(1.0), champion=bucket.model(-1.0))
    assert list(bucket.judge()["a"]) == DECISIONS.names
    missing = [name for name, value in bucket.judge()["a"].items() if value is None]
    of_other_kinds = ["alerts", "agreement", "report", "classes"]
    assert missing == ["q_value", *of_other_kinds]  # a bucket does not know the other buckets' groups


def with_gate(bucket: Any, **changed: Any) -> None:
    gate = bucket.workload.gate.model_copy(update=changed)
    bucket.workload = bucket.workload.model_copy(update={"gate": gate})


@pytest.mark.parametrize("metric", ["log_loss", "rmse", "mae"])
def test_the_constant_prior_is_the_share_of_positives_in_training(bucket: Any, metric: str) -> None:
    with_gate(bucket, baseline="prior", metric=metric)
    bucket.add("a", bucket.model(1.0))
    models = bucket.pack(bucket.candidates, "run", MODELS)
    models = models.set_column(models.schema.get_field_index("prior"), "prior", pa.array([0.25]))
    labels = np.arange(120) < 50
    constant = np.full(120, 0.25)
    expected = {"log_loss": log_loss, "rmse": root_mean_squared_error, "mae": mean_absolute_error}[metric]
    decision = bucket.judge_stored(models, None)["a"]
    assert decision["baseline_score"] == pytest.approx(expected(labels, constant), abs=1e-12)


def test_of_a_loss_less_is_better_and_scores_keep_its_sign(bucket: Any) -> None:
    with_gate(bucket, metric="log_loss")
    bucket.add("better", bucket.model(1.0), champion=bucket.model(-1.0))
    bucket.add("worse", bucket.model(-1.0), champion=bucket.model(1.0))
    decisions = bucket.judge()
    assert {group: row["verdict"] for group, row in decisions.items()} == {"better": "promote", "worse": "reject"}
    assert 0 < decisions["better"]["candidate_score"] < decisions["better"]["champion_score"]
    assert decisions["better"]["low"] < decisions["better"]["high"] < 0


def test_a_baseline_that_is_no_probability_is_no_opponent_and_has_no_score(bucket: Any) -> None:
    with_gate(bucket, metric="log_loss")  # the baseline is a feature with values below 0
    bucket.add("first", bucket.model(1.0))
    bucket.add("next", bucket.model(1.0), champion=bucket.model(-1.0))
    decisions = bucket.judge()
    assert (decisions["first"]["verdict"], decisions["first"]["reason"]) == (
        "hold",
        "the baseline's scores are no probabilities",
    )
    assert (decisions["next"]["verdict"], decisions["next"]["baseline_score"]) == ("promote", None)


def test_a_score_that_only_lies_between_0_and_1_is_no_probability(bucket: Any) -> None:
    with_gate(bucket, metric="log_loss", baseline="prior")
    values = np.random.default_rng(0).normal(size=(60, 2))
    forest = IsolationForest(n_estimators=5, random_state=0).fit(values)
    assert ((scores(forest, values) > 0) & (scores(forest, values) < 1)).all()
    bucket.add("candidate", forest)
    bucket.add("champion", bucket.model(1.0), champion=forest)
    bucket.add("one of two", {"forest": forest, "logistic": bucket.model(1.0)})
    decisions = bucket.judge()
    assert {group: decisions[group]["reason"] for group in ("candidate", "champion")} == {
        "candidate": "the candidate's scores are no probabilities",
        "champion": "the champion's scores are no probabilities",
    }
    assert (decisions["one of two"]["verdict"], decisions["one of two"]["algorithm"]) == ("promote", "logistic")


def test_a_disabled_gate_judges_nothing(bucket: Any) -> None:
    with_gate(bucket, mode="disabled")
    bucket.add("a", bucket.model(1.0))
    bucket.add("skipped")
    decisions = bucket.judge()
    assert {(row["verdict"], row["reason"]) for row in decisions.values()} == {("hold", "the gate is disabled")}
