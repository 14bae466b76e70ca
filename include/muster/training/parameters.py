"""What is wrong with an estimator's parameters, found out before any group is fitted."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from muster.errors import let_through
from muster.workload.own_code import place_of

ROWS = 40
"""Of the made data that an estimator is fitted to where its library checks no parameter without data."""
NOT_TAKEN = re.compile(r"unknown|unrecogni[sz]ed|not used|unused", re.IGNORECASE)
"""In these words libraries say, in passing, that they do not know a parameter."""


def parameter_problem(estimator: Any, columns: int, other: Callable[[], Any]) -> str | None:
    """Return what is wrong with the parameters of an unfitted estimator, or None.

    Scikit-learn's own estimators are checked by their declared constraints, their parts too. Any other is fitted to
    made rows of so many columns: where that fails, and `other` gives one with other parameters that can be fitted, the
    parameters are wrong. Where both fail, it may be the rows: then each group's own fit tells.
    """
    parts = [part for part in _parts(estimator) if not isinstance(part, type) and hasattr(part, "fit")]
    try:
        for part in parts:
            if hasattr(part, "_parameter_constraints"):
                # Not public, yet the only check of scikit-learn's own that needs no data.
                part._validate_params()
    except ValueError as error:
        return first_line(error)
    if all(hasattr(part, "_parameter_constraints") for part in parts if isinstance(part, BaseEstimator)):
        return None
    problem = first_fit(estimator, columns)
    if problem is None:
        return None
    try:
        return problem if first_fit(other(), columns) is None else None
    except BaseException as error:  # it has parameters without a default
        let_through(error)
        return None


def _parts(estimator: Any) -> Iterator[Any]:
    yield estimator
    if hasattr(estimator, "get_params"):
        yield from estimator.get_params().values()


def first_fit(estimator: Any, columns: int) -> str | None:
    """Fit an estimator in place to made rows of two classes; return what is wrong, or None."""
    labels = np.arange(ROWS) % 2
    features = np.random.default_rng(0).random((ROWS, columns)) + labels[:, None]
    printed = io.StringIO()
    _unmute(estimator)
    try:
        with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            estimator.fit(features, labels)
    except BaseException as error:
        let_through(error)
        return first_line(error)
    return next((line for line in _lines(printed, warned) if NOT_TAKEN.search(line)), None)


def _unmute(estimator: Any) -> None:
    """Let LightGBM speak: with no word of its own it is as silent as the last one of its process."""
    for part in _parts(estimator):
        if type(part).__module__.startswith("lightgbm.") and not {"verbose", "verbosity"} & part.get_params().keys():
            part.set_params(verbosity=1)


def _lines(printed: io.StringIO, warned: Collection[warnings.WarningMessage]) -> Iterator[str]:
    yield from printed.getvalue().splitlines()
    for warning in warned:
        yield from (line for line in str(warning.message).splitlines() if line.strip())


def first_line(error: BaseException) -> str:
    """Return an error's message; of one that comes with a trace of C++, what stands before it.

    The end of the process has none that tells anything, so it is told with the line that wanted it.
    """
    if isinstance(error, SystemExit):
        return f"ends the process, SystemExit: {error} ({place_of(error)})"
    return " ".join(str(error).partition("\nStack trace:")[0].split()) or type(error).__name__


def unknown_parameter(create: Callable[..., Any], name: str) -> str | None:
    """Return the parameter that `name` is taken for, where an estimator's class accepts any name; else None.

    Such a class (LightGBM's, XGBoost's) hands other names on to its library, which knows more of them than it lists.
    """
    if not (isinstance(create, type) and issubclass(create, BaseEstimator)):
        return None
    try:
        known = list(create().get_params())
    except BaseException as error:  # it has parameters without a default
        let_through(error)
        return None
    return None if name in known else next(iter(difflib.get_close_matches(name, known, 1, 0.8)), None)
