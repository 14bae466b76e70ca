"""The declared algorithms: checked once, before any group is fitted; then made afresh for every group."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import is_outlier_detector
from sklearn.pipeline import make_pipeline

from muster.errors import WorkloadError, bounded
from muster.models.loading import Forbidden, load
from muster.models.manifest import allowed_imports
from muster.training.search import grid_problems
from muster.workload.functions import PREFIX, FunctionNotFound, function
from muster.workload.spec import Algorithm, Search, Step, Workload

SCORES = ("predict_proba", "score_samples", "decision_function")
"""A model offers one of these: labels alone rank nothing."""


@dataclass(frozen=True)
class StepMaker:
    """Makes one step: a class or a function that returns an estimator, its parameters, and what to seed."""

    make: Callable[..., Any]
    params: dict[str, Any]
    unseeded: tuple[str, ...] = ()
    """Parameters called `random_state`, its parts' too (`estimator__random_state`), that were left unset."""

    def __call__(self, seed: int) -> Any:
        """Return a new step; what was left unseeded gets `seed`."""
        step = self.make(**self.params)
        for name in self.unseeded:
            if "__" in name:
                step.set_params(**{name: seed})
            else:  # a parameter is an attribute: twenty times quicker than set_params
                setattr(step, name, seed)
        return step


@dataclass(frozen=True)
class Recipe:
    """How an algorithm's estimator is made for every group; it travels to the executors."""

    name: str
    steps: tuple[StepMaker, ...]
    search: Search | None = None
    supervised: bool = True
    """False for an outlier detector: it learns from every row, labelled or not, and is shown no label."""

    def make(self, seed: int) -> Any:
        """Return a new unfitted estimator, a Pipeline where several steps are declared.

        `seed` is any number from 0: its lower 31 bits are used, which every library takes.
        """
        made = [step(seed % 2**31) for step in self.steps]
        return made[0] if len(made) == 1 else make_pipeline(*made)


def recipes(workload: Workload, folder: Path) -> tuple[Recipe, ...]:
    """Return each algorithm's recipe, sorted by name; `folder` is where the workload's YAML and Python file stand.

    Raises:
        WorkloadError: with every step that cannot be found, made or used, and every parameter that cannot be searched.
    """
    found: list[Recipe] = []
    problems: list[tuple[str, str]] = []
    for name, algorithm in sorted(workload.algorithms.items()):
        before = len(problems)
        steps = _steps(workload, folder, f"algorithms.{name}", algorithm, problems)
        if len(problems) > before:
            continue
        last = steps[-1](seed=0)
        detects = hasattr(last, "__sklearn_tags__") and is_outlier_detector(last)
        recipe = Recipe(name, steps, algorithm.search, supervised=not detects)
        if algorithm.search is not None:
            told = grid_problems(recipe.make(0), algorithm.search)
            problems += [(f"algorithms.{name}.search.grid.{key}", problem) for key, problem in told]
        found.append(recipe)
    if problems:
        raise WorkloadError(str(folder / f"{workload.name}.yaml"), problems)
    return tuple(found)


def _steps(
    workload: Workload, folder: Path, path: str, algorithm: Algorithm, problems: list[tuple[str, str]]
) -> tuple[StepMaker, ...]:
    """Return the makers of the steps that hold; add what is wrong with the others to `problems`."""
    makers: list[StepMaker] = []
    for number, step in enumerate(algorithm.steps):
        try:
            maker = _maker(workload, folder, step)
            _check(maker, workload, last=number == len(algorithm.steps) - 1)
            makers.append(maker)
        except _Problem as problem:
            problems.append((f"{path}.{number}", f"'{step.name}': {problem}"))
    return tuple(makers)


class _Problem(Exception):
    """One thing that is wrong with a step."""


def _maker(workload: Workload, folder: Path, step: Step) -> StepMaker:
    make = _own(workload, folder, step) if ":" in step.name else _class(step)
    known = _parameters(make)
    for name in step.params:
        if known is not None and name not in known:
            raise _Problem(f"has no parameter '{name}'; it has: {bounded(known) or 'none'}")
    try:
        made = make(**step.params)
    except Exception as error:
        given = json.dumps(step.params, default=str)
        raise _Problem(f"cannot be made with {given}: {type(error).__name__}: {error}") from error
    if not hasattr(made, "fit"):
        raise _Problem(f"gives a {type(made).__name__}, which is no estimator: it has no method 'fit'")
    return StepMaker(make, dict(step.params), tuple(_unseeded(made)))


def _own(workload: Workload, folder: Path, step: Step) -> Callable[..., Any]:
    try:
        return function(workload, folder, step.name)
    except FunctionNotFound as error:
        raise _Problem(str(error)) from error


def _class(step: Step) -> Callable[..., Any]:
    module_name, _, name = step.name.rpartition(".")
    if not module_name:
        raise _Problem("write the class with its module, 'sklearn.linear_model.LogisticRegression'")
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ImportError as error:
        raise _Problem(f"its module cannot be imported: {error}") from error
    if not inspect.isclass(found):
        raise _Problem(f"the module '{module_name}' has no class '{name}'")
    return found


def _parameters(make: Callable[..., Any]) -> list[str] | None:
    """Return the names of the parameters, or None where any is taken or Python cannot tell."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:
        return None
    return None if any(one.kind is one.VAR_KEYWORD for one in parameters) else [one.name for one in parameters]


def _unseeded(estimator: Any) -> Iterator[str]:
    if hasattr(estimator, "get_params"):
        for name, value in sorted(estimator.get_params().items()):
            if name.rpartition("__")[2] == "random_state" and value is None:
                yield name


def _check(maker: StepMaker, workload: Workload, last: bool) -> None:
    """Refuse what would fail every group: wrong values, no scores, bytes that load nowhere else."""
    made = maker(seed=0)
    try:
        # Not public, yet the only check of scikit-learn's own that needs no data.
        getattr(made, "_validate_params", lambda: None)()
    except ValueError as error:
        raise _Problem(" ".join(str(error).split())) from error
    if last and not any(hasattr(made, name) for name in SCORES):
        raise _Problem(f"gives no scores: it has none of {bounded(SCORES)}")
    if not last and not hasattr(made, "transform"):
        raise _Problem("is not the last step, yet it has no method 'transform'")
    try:
        stored = pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise _Problem(f"its estimator cannot be pickled: {error}") from error
    if any(isinstance(part, str) and part.startswith(PREFIX) for _, part, _ in pickletools.genops(stored)):
        raise _Problem(
            "its estimator holds a class or function of the workload's own file, which is not there where the model "
            "is loaded; move that class or function to an installed module"
        )
    try:
        load(stored, allowed_imports(workload))
    except Forbidden as error:
        name = error.declaration
        declare = f"to allow it, declare 'pack: {{loads: [\"{name}\"]}}'" if name else "leave it out"
        raise _Problem(f"its estimator {error}: no stored model may name that; {declare}") from error
