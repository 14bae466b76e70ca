"""Several classes: metrics of a probability each against scikit-learn, and the verdicts by them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Judgement, Rival
from muster.evaluation.metrics import METRICS
from muster.evaluation.verdict import TOO_FEW_OF_CLASSES, hold_reason, judge, unusable_reason
from muster.workload.spec import Gate

CLASSES = ("none", "pump", "valve")
SHARES = np.array([0.5, 0.3, 0.2])
DAYS = Clusters.equal(np.arange(600) // 30)


def made(rows: int, seed: int = 1) -> np.ndarray:
    """Return labels."""
    return np.random.default_rng(seed).choice(3, size=rows, p=SHARES).astype(float)


def scores(labels: np.ndarray, signal: float, seed: int = 2, kind: str = "distinct") -> np.ndarray:
    """Return probabilities that tell the labels, the better the more `signal`."""
    raw = np.random.default_rng(seed).normal(size=(len(labels), 3)) + signal * np.eye(3)[labels.astype(int)]
    each = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    if kind == "tied":
        each = np.round(each * 4) + 1e-300
        each /= each.sum(axis=1, keepdims=True)
    return np.eye(3)[each.argmax(axis=1)] if kind == "certain" else each


def by_sklearn(metric: str, labels: np.ndarray, each: np.ndarray, counts: np.ndarray) -> list[float]:
    """Measure sample after sample; NaN without rows, and of ranks without one of the classes that the rows have."""
    values, present = [], np.unique(labels)
    for weights in counts:
        drawn = labels[weights > 0]
        if metric == "log_loss":
            of = sklearn.log_loss(labels, each, sample_weight=weights, labels=range(3)) if len(drawn) else np.nan
        elif len(np.unique(drawn)) < len(present) or len(present) < 2:
            of = np.nan
        elif len(present) == 3:
            of = sklearn.roc_auc_score(labels, each, sample_weight=weights, multi_class="ovr", average="macro")
        else:
            of = np.mean([sklearn.roc_auc_score(labels == k, each[:, int(k)], sample_weight=weights) for k in present])
        values.append(float(of))
    return values


@pytest.mark.parametrize("kind", ["distinct", "tied", "certain"])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 40, 500])
@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_equals_sklearn_weighted_by_the_counts(metric: str, rows: int, kind: str) -> None:
    labels = made(rows)
    each = scores(labels, 1.0, kind=kind)
    counts = np.random.default_rng(2).poisson(1.0, size=(20, rows)).astype(np.int32)
    actual = METRICS[metric].prepare(labels, each, Clusters.rows(rows))(counts)
    np.testing.assert_allclose(actual, by_sklearn(metric, labels, each, counts), rtol=0, atol=1e-9)


@pytest.mark.parametrize("days", [5, 20, 100])
@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_resamples_of_days_equal_sklearn_on_their_rows(metric: str, days: int) -> None:
    labels = made(600)
    each, clusters = scores(labels, 1.0), Clusters.equal(np.arange(600) % days)
    counts = np.random.default_rng(4).multinomial(days, [1 / days] * days, size=20).astype(np.int32)
    actual = METRICS[metric].prepare(labels, each, clusters)(counts)
    expected = by_sklearn(metric, labels, each, clusters.spread(counts))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)


def judged(gate: Gate, signal: float, opponent: float = 0.3, labels: np.ndarray | None = None) -> Judgement:
    labels = made(600) if labels is None else labels
    rows = HeldOut(labels, DAYS, False, CLASSES)
    return judge(rows, {"a": scores(labels, signal)}, Rival("champion", scores(labels, opponent, 5), SHARES), gate, 3)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_who_tells_classes_better_is_promoted_with_its_evidence(metric: str) -> None:
    gate, labels = Gate(metric=metric, resamples=200), made(600)  # type: ignore[arg-type]
    judgement = judged(gate, 2.0)
    assert (judgement.verdict, judgement.reason) == ("promote", "beats the champion")
    by_chance = np.tile(SHARES, (600, 1))
    [candidate] = by_sklearn(metric, labels, scores(labels, 2.0), np.ones((1, 600)))
    [chance] = by_sklearn(metric, labels, by_chance, np.ones((1, 600)))
    assert judgement.candidate_score == pytest.approx(candidate, abs=1e-9)
    assert judgement.chance_score == pytest.approx(chance, abs=1e-9)
    assert judgement.positives is None
    assert json.loads(str(judgement.classes)) == {name: int((labels == n).sum()) for n, name in enumerate(CLASSES)}
    assert judged(gate, 0.3, 2.0).verdict == "reject"


def test_who_does_not_surpass_the_shares_is_no_better_than_chance() -> None:
    judgement = judged(Gate(resamples=200, metric="log_loss"), 0.4, -1.0)
    assert (judgement.verdict, judgement.reason) == ("reject", "does no better than chance")


def test_of_a_loss_all_days_count_and_of_ranks_the_rarest_class_that_is_there() -> None:
    labels = np.concatenate([np.zeros(300), np.ones(300)])
    labels[:90] = 2.0
    rows = HeldOut(labels, DAYS, False, (*CLASSES, "belt"))
    of_ranks, of_loss = (rows.units(METRICS[name]) for name in ("roc_auc", "log_loss"))
    assert (of_ranks, of_loss) == (pytest.approx(3), pytest.approx(20))


def test_ranks_need_two_classes_with_enough_rows_and_a_loss_does_not() -> None:
    labels = np.zeros(600)
    labels[:9] = 1.0
    labels[9:14] = 2.0
    rows = HeldOut(labels, DAYS, False, CLASSES)
    assert hold_reason(Gate(metric="roc_auc"), rows) == TOO_FEW_OF_CLASSES
    assert hold_reason(Gate(metric="roc_auc", min_positives=9), rows) is None
    assert hold_reason(Gate(metric="log_loss"), rows) is None
    assert hold_reason(Gate(metric="log_loss", min_rows=601), rows) == "too few rows to judge on"
    held = judged(Gate(metric="roc_auc"), 2.0, labels=labels)
    assert (held.verdict, held.reason, held.classes) == (
        "hold",
        TOO_FEW_OF_CLASSES,
        '{"none": 586, "pump": 9, "valve": 5}',
    )


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_what_does_not_sum_up_to_one_is_no_probabilities(metric: str) -> None:
    measure, each = METRICS[metric], scores(made(20), 1.0)
    assert unusable_reason(each, measure) is None
    assert unusable_reason(each.astype(np.float32).astype(float), measure) is None
    assert unusable_reason(each / 2, measure) == "scores are no probabilities"
    assert unusable_reason(each - [[0.5, -0.25, -0.25]], measure) == "scores are no probabilities"
    assert unusable_reason(np.where(each == each.max(), np.nan, each), measure) == "scores are not finite"
