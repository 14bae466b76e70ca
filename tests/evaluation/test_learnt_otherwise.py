"""Models that learnt or predict something else than is declared by now: no opponent, no verdict, no answer."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.ensemble import IsolationForest

from muster.champions.versions import takes
from muster.context import Context
from muster.models.manifest import fits
from muster.storage.store import Store
from muster.training.algorithms import estimator_factories
from muster.workload.outcome import Outcome
from muster.workload.spec import Workload
from tests.evaluation.conftest import WORKLOAD

PLAIN = {name: section for name, section in WORKLOAD.items() if name != "label"}
COLUMNS = {**WORKLOAD["columns"], "wait": "float?"}


class OwnDetector:
    """An outlier detector that scikit-learn knows nothing of, and that would take labels."""

    def fit(self, features: Any, labels: Any = None) -> OwnDetector:
        return self

    def decision_function(self, features: Any) -> Any:
        return features[:, 0]


def declared(outcome: Any, **sections: Any) -> Workload:
    gate = {"alerts": [0.0, 0.5]} if "none" in str(outcome) else {}
    return Workload.model_validate({**PLAIN, "columns": COLUMNS, "outcome": outcome, "gate": gate, **sections})


def described(workload: Workload) -> dict[str, Any]:
    outcome = workload.outcome.model_dump(mode="json", exclude_none=True)
    keys = {key: workload.columns[key].type for key in workload.keys}
    features = list(workload.features.columns)
    return {"keys": keys, "features": features, "scale": workload.outcome.scale, "outcome": outcome}


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ({"regression": {"column": "delay"}}, {"regression": {"column": "delay"}}, True),
        ({"regression": {"column": "delay"}}, {"regression": {"column": "wait"}}, False),
        ({"binary": {"column": "delay", "above": 1}}, {"binary": {"column": "delay", "above": 2}}, True),
        ({"none": {}}, {"none": {"report": {"column": "wait", "above": 0}}}, True),
        ({"regression": {"column": "delay"}}, {"none": {}}, False),
    ],
)
def test_a_model_of_another_quantity_is_no_champion(before: Any, now: Any, same: bool) -> None:
    models = {"logistic": "sklearn.linear_model.Ridge"}
    then, today = (declared(outcome, algorithms=models) for outcome in (before, now))
    assert fits(described(then), today) is same
    features = then.features.columns
    digests = {takes(features, Outcome.model_validate(outcome)) for outcome in (before, now)}
    assert (len(digests) == 1) is same


def test_where_nothing_is_labelled_no_estimator_is_shown_a_label(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.training.algorithms._steps", lambda *_: (lambda seed: OwnDetector(),))
    for outcome, supervised in (({"none": {}}, False), ({"binary": {"column": "delay", "above": 0}}, True)):
        context = Context(declared(outcome), tmp_path, Store(str(tmp_path), "made"))
        [factory] = estimator_factories(context)
        assert factory.supervised is supervised
    monkeypatch.setattr("muster.training.algorithms._steps", lambda *_: (lambda seed: IsolationForest(),))
    assert not estimator_factories(context)[0].supervised
