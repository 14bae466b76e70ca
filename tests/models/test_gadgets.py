"""Models made of allowed classes only, by which scoring would run something else: none of them is loaded."""

from __future__ import annotations

import importlib
import inspect
import pickle
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import FeatureAgglomeration
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch, all_estimators

from muster.models.allowed import OF_SKLEARN, Forbidden
from muster.models.loading import METHOD_NAMES, load

FEATURES = np.random.default_rng(0).normal(size=(40, 3))
LABELS = (FEATURES[:, 0] > 0).astype(int)


def _fitted(model: Any, **changed: Any) -> Any:
    """Return the model, fitted, with attributes changed afterwards."""
    model.fit(FEATURES, LABELS)
    vars(model).update(changed)
    return model


def _cached(folder: Path) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("last", StandardScaler())], memory=str(folder))


def _fitting_stack(folder: Path) -> StackingClassifier:
    """Return a model that fits a pipeline when it is asked for scores, which loads what lies in a folder."""
    stack = _fitted(StackingClassifier([("one", LogisticRegression())], cv=2))
    stack.stack_method_, stack.estimators_ = ["fit"], [_cached(folder)]
    return stack


class Owned:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def test_scoring_alone_would_load_what_lies_in_a_folder(tmp_path: Path) -> None:
    stack = pickle.loads(pickle.dumps(_fitting_stack(tmp_path / "cache")))
    for _ in range(2):
        with pytest.raises(Exception, match=r".*"):
            stack.predict_proba(FEATURES)
        for result in (tmp_path / "cache").rglob("output.pkl"):
            result.write_bytes(pickle.dumps(Owned(tmp_path / "owned")))
    assert (tmp_path / "owned").exists()
    with pytest.raises(Forbidden):
        load(pickle.dumps(stack))


def _gadgets(folder: Path) -> dict[str, tuple[Any, str]]:
    chain = ClassifierChain(LogisticRegression(), chain_method="predict_proba")
    chain.fit(FEATURES, np.column_stack([LABELS, 1 - LABELS]))
    chain.chain_method_ = "fit"
    return {
        "a stack that fits": (_fitting_stack(folder), "StackingClassifier with stack_method_ 'fit'|'memory' set"),
        "a cache in a pipeline": (_cached(folder), "has a Pipeline with 'memory' set"),
        "a cache in a part": (make_pipeline(FeatureAgglomeration(memory="x", pooling_func=np.exp)), "'memory' set"),
        "a chain that fits": (chain, "ClassifierChain with chain_method_ 'fit'"),
        "a threshold that fits": (
            FixedThresholdClassifier(_cached(folder), response_method="fit_transform"),
            "'fit_transform'|'memory' set",
        ),
        "files that the data name": (CountVectorizer(input="filename"), "input 'filename': it reads the files"),
        "a class in place of a function": (FunctionTransformer(StandardScaler), "holds 'sklearn.*StandardScaler'"),
        "a class as a metric": (KNeighborsClassifier(metric=Pipeline), "holds 'sklearn.pipeline.Pipeline'"),
        "a class in place of a method": (
            _fitted(LogisticRegression(), predict_proba=RandomForestClassifier),
            "holds 'sklearn.ensemble._forest.RandomForestClassifier' in a LogisticRegression",
        ),
    }


@pytest.mark.parametrize("name", _gadgets(Path()))
def test_what_would_run_something_else_is_refused(name: str, tmp_path: Path) -> None:
    model, why = _gadgets(tmp_path)[name]
    with pytest.raises(Forbidden, match=why):
        load(pickle.dumps(model, 5))


def _wrapped(value: Any, how: random.Random) -> Any:
    """Return a value within some containers."""
    array = np.empty(1, object)
    array[0] = value
    inner = [value, [value], (1, value), {"x": value}, array, Bunch(x=value), defaultdict(list, x=value), {1: (value,)}]
    record = np.zeros(1, [("a", float), ("b", object)])
    record["b"] = value
    return how.choice([*inner, record])


def _estimators(model: Any) -> Iterator[BaseEstimator]:
    yield model
    for part in vars(model).values():
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, BaseEstimator):
                yield from _estimators(one)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(2),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_class_is_refused_wherever_a_model_keeps_it(model: Any) -> None:
    how, stored = random.Random(0), pickle.dumps(_fitted(model), 5)
    places = [(n, name) for n, part in enumerate(_estimators(model)) for name in vars(part)]
    for number, name in places:
        changed = pickle.loads(stored)
        vars(list(_estimators(changed))[number])[name] = _wrapped(StandardScaler, how)
        with pytest.raises(Forbidden, match=r"StandardScaler|'memory' set"):
            load(pickle.dumps(changed, 5))


def test_what_a_pickle_sets_of_a_class_is_undone() -> None:
    named = b"csklearn._loss.link\nLogitLink\n"
    state = pickle.dumps((None, {"inverse": 1, "memory": "x"}), 0)[:-1]
    before = dict(vars(_class("sklearn._loss.link", "LogitLink")))
    with pytest.raises(Forbidden, match=r"changes the class 'sklearn._loss.link.LogitLink'"):
        load(named + state + pickle.BUILD + pickle.STOP)
    assert dict(vars(_class("sklearn._loss.link", "LogitLink"))) == before
    changed = vars(_class("sklearn._loss.link", "LogitLink"))
    _class("sklearn._loss.link", "LogitLink").seen_elsewhere = 1
    load(pickle.dumps(_class("sklearn._loss.link", "LogitLink")()))  # what others change is none of a pickle's business
    assert changed["seen_elsewhere"] == 1
    del _class("sklearn._loss.link", "LogitLink").seen_elsewhere
    with pytest.raises(TypeError):  # a class with a `__setstate__` of its own
        load(b"csklearn.pipeline\nPipeline\n" + state + pickle.BUILD + pickle.STOP)


def _class(module: str, name: str) -> type:
    named = getattr(importlib.import_module(module), name)
    assert isinstance(named, type)
    return named


NO_METHODS = """
_fit_method _outlier_method _response_method binner_methods cluster_method cluster_selection_method dissimilarity_method
fit_algorithm learning_method method methods methods_to_check neighbors_method path_method quantile_method
response_methods svd_method
"""
"""Attributes that name a way of computing, no method of another object; or that only fitting looks at."""


def test_these_are_all_the_attributes_by_which_scikit_learn_names_a_method() -> None:
    named: set[str] = set()
    for file in Path(sklearn.__file__).parent.rglob("*.py"):
        if not {"tests", "externals", "_build_utils"} & set(file.parts):
            named |= set(re.findall(r"""self(?:\.|, ["'])(\w*method\w*)(?![\w(])""", file.read_text(encoding="utf-8")))
    assert named - set(NO_METHODS.split()) == METHOD_NAMES


def test_nothing_of_scikit_learns_calls_an_estimator_when_it_is_called_itself() -> None:
    modules = [importlib.import_module(name) for name in OF_SKLEARN]
    classes = {item for _, item in all_estimators()}
    for module in modules:
        own = [item for item in vars(module).values() if inspect.isclass(item)]
        classes.update(item for item in own if item.__module__.startswith(OF_SKLEARN))
    callable_in = {item.__module__ for item in classes if any("__call__" in vars(base) for base in item.__mro__)}
    assert callable_in <= {"sklearn._loss.loss", "sklearn.gaussian_process.kernels"}
