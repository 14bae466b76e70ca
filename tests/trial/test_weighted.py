"""A trial of a workload whose rows have weights: figures by weight, and it says so once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score


@pytest.fixture
def weighed(fresh: Any) -> Any:
    """Return a home whose rows weigh by their fares, landed with the other columns."""

    def yaml(text: str) -> str:
        steps = "[sklearn.impute.SimpleImputer, sklearn.linear_model.LogisticRegression]"
        text = text.replace('delay: "float?"}', 'delay: "float?", fares: float}\nweight: fares')
        return text.replace(steps, "sklearn.linear_model.LogisticRegression").replace("hour, before", "hour")

    def code(text: str) -> str:
        text = text.replace('"delay": delay}', '"delay": delay, "fares": fares}')
        text = text.replace('"hour": hour, "before": joined["before"].to_numpy()}', '"hour": hour}')
        return text.replace(
            "            at = at.strf", "            fares = (10 ** warm).round(4)\n            at = at.strf"
        )

    fresh.declare(yaml, code)
    return fresh


def test_the_figures_equal_an_independent_computation_and_it_says_that_they_are_weighted(weighed: Any) -> None:
    code, out, _ = weighed.run()
    assert code == 0
    assert out.count("weighted by `fares`") == 1
    trial = weighed.tried()
    files = sorted(Path(weighed.store.uri(weighed.store.landing)).glob("*.csv.gz"))
    rows = pd.concat(map(pd.read_csv, files)).query("place == 'north' and line == 1")
    rows["at"] = pd.to_datetime(rows["at"])
    rows["late"], rows["hour"] = (rows["delay"] > 10).astype(float), rows["at"].dt.hour.astype(float)
    rows = rows[rows["fares"] > 0].sort_values("at")
    train, later = (
        rows[(rows["at"] >= start) & (rows["at"] < stop)]
        for start, stop in (("2024-01-15", "2024-01-29"), ("2024-01-29", "2024-02-05"))
    )
    of, columns = later["late"], ["warm", "hour"]
    model = LogisticRegression().fit(train[columns].to_numpy(), train["late"], train["fares"])
    scores = model.predict_proba(later[columns].to_numpy())[:, 1]
    decision = trial["decision"]
    expected = roc_auc_score(of, scores, sample_weight=later["fares"])
    assert not np.isclose(expected, roc_auc_score(of, scores), atol=1e-4)
    assert decision["candidate_score"] == trial["fits"][0]["score"] == pytest.approx(expected, abs=1e-11)
    baseline = roc_auc_score(of, later["hour"], sample_weight=later["fares"])
    assert decision["baseline_score"] == pytest.approx(baseline, abs=1e-11)
    assert (trial["weight"], decision["rows"], decision["positives"]) == ("fares", len(later), later["late"].sum())


def test_a_workload_without_a_weight_says_nothing_of_one(home: Any) -> None:
    _, out, _ = home.run()
    assert "weighted" not in out
    assert home.tried()["weight"] is None
