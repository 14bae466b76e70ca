"""The declared estimator: what is refused before any group is fitted, and what each group gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from muster.errors import WorkloadError
from muster.training.algorithms import estimator_factories
from muster.training.estimator import EstimatorFactory
from muster.workload.spec import Workload
from tests.training.conftest import context_of


@pytest.fixture
def factory(declare: Callable[..., Workload], folder: Path) -> Callable[[Any], EstimatorFactory]:
    return lambda steps: estimator_factories(context_of(declare(algorithms={"one": steps}), folder))[0]


def test_one_step_is_the_estimator_itself(factory: Callable[[Any], EstimatorFactory]) -> None:
    estimator = factory({"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 7}}).create(1)
    assert isinstance(estimator, RandomForestClassifier)
    assert estimator.n_estimators == 7


def test_several_steps_are_a_pipeline_in_their_order(factory: Callable[[Any], EstimatorFactory]) -> None:
    estimator = factory(["sklearn.impute.SimpleImputer", {":logistic": {"strength": 0.5}}]).create(1)
    assert isinstance(estimator, Pipeline)
    assert [name for name, _ in estimator.steps] == ["simpleimputer", "pipeline"]
    assert estimator.get_params()["pipeline__logisticregression__C"] == 0.5


def test_each_group_gets_an_estimator_of_its_own(factory: Callable[[Any], EstimatorFactory]) -> None:
    chosen = factory(["sklearn.impute.SimpleImputer", ":logistic"])
    first, second = chosen.create(1), chosen.create(1)
    assert first is not second
    assert first.steps[0][1] is not second.steps[0][1]


@pytest.mark.parametrize("estimator", ["sklearn.linear_model.LogisticRegression", ":logistic"])
def test_a_random_state_left_unset_is_the_groups_seed(
    estimator: str, factory: Callable[[Any], EstimatorFactory]
) -> None:
    params = factory(["sklearn.impute.SimpleImputer", estimator]).create(2**40 + 11).get_params()
    seeds = {value for name, value in params.items() if name.endswith("random_state")}
    assert seeds == {11}


def test_a_random_state_that_is_set_stays(factory: Callable[[Any], EstimatorFactory]) -> None:
    estimator = factory({"sklearn.ensemble.RandomForestClassifier": {"random_state": 3}}).create(11)
    assert estimator.random_state == 3


@pytest.mark.parametrize(
    ("estimator", "problem"),
    [
        ("sklearn.linear_model.LogisticRegresion", "has no class 'LogisticRegresion'"),
        ("sklearn.linear.LogisticRegression", "its module cannot be imported"),
        ("LogisticRegression", "write the class with its module"),
        ("sklearn.base.clone", "has no class 'clone'"),
        ({"sklearn.linear_model.LogisticRegression": {"Cc": 1}}, "has no parameter 'Cc'; it has: penalty, C, "),
        ({"sklearn.linear_model.LogisticRegression": {"C": "1e-3"}}, "The 'C' parameter of LogisticRegression must be"),
        ("datetime.datetime", "cannot be created with {}"),
        ("collections.Counter", "is no estimator: it has no method 'fit'"),
        ("sklearn.linear_model.LinearRegression", "gives no scores"),
        (":nowhere", "no function ':nowhere'"),
        ("nowhere_at_all:make", "no function 'nowhere_at_all:make'"),
        (":not_an_estimator", "gives a str, which is no estimator"),
        ({":logistic": {"power": 2}}, "has no parameter 'power'; it has: strength"),
        (":doubling", "of the workload's own file"),
        (":averaging", "names 'numpy.average', which is no class that a model is made of"),
        (":averaging", """to allow it, declare 'pack: {allowed_imports: ["numpy:average"]}'"""),
        (
            ":shelling",
            "names 'posix.system', which is of Python's own library: no stored model may; leave it out",
        ),
        (":locked", "cannot be pickled"),
        ({"lightgbm.LGBMClassifier": {"num_leaves": "many"}}, 'should be of type int, got "many"'),
        ({"lightgbm.LGBMClassifier": {"n_estimatorz": 3}}, "no parameter 'n_estimatorz'; did you mean 'n_estimators'?"),
        ({"lightgbm.LGBMClassifier": {"nonsense": 3}}, "Unknown parameter: nonsense"),
        ({"xgboost.XGBClassifier": {"booster": "no"}}, "Unknown gbm type no"),
        ({"xgboost.XGBClassifier": {"nonsense": 3}}, '{ "nonsense" } are not used'),
        ("xgboost.XGBRegressor", "gives no scores"),
        ({"tests.training.own.Threshold": {"cut": "high"}}, "cut is no number"),
        (
            {"tests.training.own.Threshold": {"cut": "exit"}},
            "ends the process, SystemExit: 0 (own.py:20, in fit: sys.exit(0))",
        ),
        (":leaving", "cannot be created with {}: SystemExit: 0 (made.py:23, in leaving: sys.exit(0))"),
        ({"tests.training.own.Loose": {"other": 1}}, 'cannot be created with {"other": 1}: TypeError: '),
        ({"tests.training.own.Threshold": {"cuts": 1}}, "has no parameter 'cuts'; it has: cut"),
        (":bad_threshold", "The 'C' parameter of LogisticRegression must be"),
    ],
)
def test_what_cannot_work_is_refused_before_any_fit(
    estimator: Any, problem: str, factory: Callable[[Any], EstimatorFactory]
) -> None:
    with pytest.raises(WorkloadError) as refused:
        factory(estimator)
    assert [path for path, _ in refused.value.problems] == ["algorithms.one.0"]
    assert problem in str(refused.value)


def test_a_module_of_ones_own_that_raises_is_told_with_its_line(
    factory: Callable[[Any], EstimatorFactory], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "acme_broken_step.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(WorkloadError, match=r"acme_broken_step\.py', line 1, cannot be imported: ZeroDivisionError"):
        factory("acme_broken_step.Mine")


def test_a_value_to_search_that_ends_the_process_is_told_with_the_line(
    declare: Callable[..., Workload], folder: Path
) -> None:
    algorithm = {"steps": "tests.training.own.Threshold", "search": {"grid": {"cut": [0.1, "exit"]}}}
    with pytest.raises(WorkloadError, match=r"grid\.cut: ends the process, SystemExit: 0 \(own\.py:20, in fit"):
        estimator_factories(context_of(declare(algorithms={"one": algorithm}), folder))


@pytest.mark.parametrize(
    "steps",
    [
        {"lightgbm.LGBMClassifier": {"verbose": -1, "bagging_fraction": 0.8, "bagging_freq": 1}},
        {"xgboost.XGBClassifier": {"eta": 0.1}},
        "tests.training.own.Threshold",
        {"tests.training.own.Needy": {"needed": 1}},  # whose fit to made rows fails, whatever its parameters
        ":stack",
    ],
)
def test_estimators_of_other_libraries_and_of_ones_own_are_taken(
    steps: Any, factory: Callable[[Any], EstimatorFactory]
) -> None:
    assert hasattr(factory(steps).create(1), "fit")


def test_a_group_is_fitted_on_one_core(declare: Callable[..., Workload], folder: Path) -> None:
    def jobs(steps: Any) -> Any:
        workload = declare(algorithms={"one": steps}, pack={"allowed_imports": ["lightgbm"]})
        (factory,) = estimator_factories(context_of(workload, folder))
        return {name: value for name, value in factory.create(1).get_params().items() if "n_jobs" in name}

    assert jobs("lightgbm.LGBMClassifier") == {"n_jobs": 1}
    assert jobs({"xgboost.XGBClassifier": {"n_jobs": 2}}) == {"n_jobs": 2}
    assert jobs("sklearn.linear_model.LogisticRegression") == {"n_jobs": None}
    assert jobs(":boosted")["lgbmclassifier__n_jobs"] == 1


def test_what_is_declared_may_be_named(declare: Callable[..., Workload], folder: Path) -> None:
    workload = declare(algorithms={"one": ":averaging"}, pack={"loads": ["numpy:average"]})
    assert isinstance(estimator_factories(context_of(workload, folder))[0].create(1), Pipeline)


def test_every_step_that_cannot_work_is_told_at_once(factory: Callable[[Any], EstimatorFactory]) -> None:
    with pytest.raises(WorkloadError) as refused:
        factory(["sklearn.linear_model.LogisticRegression", "sklearn.nothing.X", ":logistic"])
    assert [path for path, _ in refused.value.problems] == ["algorithms.one.0", "algorithms.one.1"]
    assert "no method 'transform'" in str(refused.value)
