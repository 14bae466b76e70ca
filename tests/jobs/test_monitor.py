"""What the stages wrote, monitored on Spark: the metric is pandas' of the predictions and of the landed outcomes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.metrics import mean_absolute_error

from muster.storage.store import Store
from muster_jobs import evaluate, features, ingest, monitor, promote, score, train
from tests.jobs.conftest import MakeJob
from tests.parcels import MINUTES, PARTITION, frame

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NAME = "parcels_watched"
STAGES = (ingest, features, train, evaluate, promote, score, monitor)


def test_the_champions_answers_are_judged_beside_what_the_gate_saw(
    make_job: MakeJob, registry_settings: str, tmp_path: Path
) -> None:
    declared, yaml, store = MINUTES.declare(tmp_path), tmp_path / f"{NAME}.yaml", Store(str(tmp_path), NAME)
    declared.with_suffix(".py").rename(yaml.with_suffix(".py"))
    declared.rename(yaml).write_text(yaml.read_text(encoding="utf-8") + "monitor: {}\n", encoding="utf-8")
    MINUTES.land(store)
    for stage in STAGES:
        name = stage.__name__.rpartition(".")[2]
        result = stage.run(make_job(name, yaml, PARTITION, tmp_path))
    rows, decisions = frame(store, "monitoring").set_index("group"), frame(store, "decisions").set_index("group")
    answered = frame(store, "predictions")
    heavy = answered[answered["group"] == "heavy"]
    expected = mean_absolute_error(heavy["minutes"], heavy["score"])
    assert rows.loc["heavy", "state"] == "judged"
    assert rows.loc["heavy", "score"] == pytest.approx(expected, rel=1e-9)
    assert rows.loc["heavy", "reference_score"] == decisions.loc["heavy", "candidate_score"]
    assert 0 < decisions.loc["heavy", "candidate_spread"] < decisions.loc["heavy", "candidate_score"]
    assert rows.loc["heavy", "bias"] == pytest.approx((heavy["score"] - heavy["minutes"]).mean(), rel=1e-9)
    assert rows.loc[["idle", "new"], "state"].tolist() == ["no_own_answers"] * 2
    assert (result["gone"], result["alarms"]) == (0, {})
