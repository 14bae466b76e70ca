"""The declared algorithms: imported and checked once, before any group is fitted."""

from __future__ import annotations

import inspect
import json
import pickle
import pickletools
from collections.abc import Callable, Iterator
from typing import Any

from sklearn.base import is_outlier_detector

from muster.context import Context
from muster.errors import WorkloadError, bounded, let_through
from muster.models.allowed import Forbidden
from muster.models.loading import load
from muster.models.manifest import allowed_imports
from muster.outcomes.kinds import kind_of
from muster.training.estimator import EstimatorFactory, StepFactory, without_weights
from muster.training.parameters import first_fit, parameter_problem, unknown_parameter
from muster.training.search import grid_problems
from muster.workload.algorithm import Algorithm, Step
from muster.workload.functions import PREFIX, FunctionNotFound, NotImportable, function, imported_module
from muster.workload.own_code import own_files, place_of
from muster.workload.spec import Workload


def estimator_factories(context: Context) -> tuple[EstimatorFactory, ...]:
    """Return each algorithm's factory, sorted by name.

    Raises:
        WorkloadError: with every step that cannot be imported, created or used, and every parameter that cannot be
            searched.
    """
    workload, factories = context.workload, list[EstimatorFactory]()
    supervised = kind_of(workload.outcome).supervised
    problems: list[tuple[str, str]] = []
    for name, algorithm in sorted(workload.algorithms.items()):
        before = len(problems)
        steps = _steps(context, f"algorithms.{name}", algorithm, problems)
        if len(problems) > before:
            continue
        last = steps[-1](seed=0)
        detects = hasattr(last, "__sklearn_tags__") and is_outlier_detector(last)
        factory = EstimatorFactory(name, steps, algorithm.search, supervised=supervised and not detects)
        if algorithm.search is not None:
            wrong = grid_problems(factory.create(0), algorithm.search, len(workload.features.columns))
            problems += [(f"algorithms.{name}.search.grid.{key}", problem) for key, problem in wrong]
        factories.append(factory)
    if problems:
        raise WorkloadError(str(context.folder / f"{workload.name}.yaml"), problems)
    return tuple(factories)


def _steps(
    context: Context, path: str, algorithm: Algorithm, problems: list[tuple[str, str]]
) -> tuple[StepFactory, ...]:
    """Return the factories of the sound steps; add what is wrong with the others to `problems`."""
    factories: list[StepFactory] = []
    for number, step in enumerate(algorithm.steps):
        try:
            factory = _step_factory(context, step)
            _check(factory, context.workload, last=number == len(algorithm.steps) - 1)
            factories.append(factory)
        except _Problem as problem:
            problems.append((f"{path}.{number}", f"'{step.name}': {problem}"))
    return tuple(factories)


class _Problem(Exception):
    """One thing that is wrong with a step."""


def _step_factory(context: Context, step: Step) -> StepFactory:
    workload = context.workload
    create = _own_function(context, step) if ":" in step.name else _class(step)
    known = _parameters(create)
    for name in step.params:
        if known is not None and name not in known:
            raise _Problem(f"has no parameter '{name}'; it has: {bounded(known) or 'none'}")
        if known is None and (meant := unknown_parameter(create, name)):
            raise _Problem(f"has no parameter '{name}'; did you mean '{meant}'?")
    try:
        estimator = create(**step.params)
    except BaseException as error:
        let_through(error)
        params, place = json.dumps(step.params, default=str), place_of(error, *own_files(workload, context.folder))
        where = f" ({place})" if place else ""
        raise _Problem(f"cannot be created with {params}: {type(error).__name__}: {error}{where}") from error
    if not hasattr(estimator, "fit"):
        raise _Problem(f"gives a {type(estimator).__name__}, which is no estimator: it has no method 'fit'")
    unseeded, unlimited = tuple(_unset(estimator, "random_state")), tuple(_unlimited(estimator))
    return StepFactory(create, dict(step.params), unseeded, unlimited)


def _own_function(context: Context, step: Step) -> Callable[..., Any]:
    try:
        return function(context.workload, context.folder, step.name)
    except FunctionNotFound as error:
        raise _Problem(str(error)) from error


def _class(step: Step) -> Callable[..., Any]:
    module_name, _, name = step.name.rpartition(".")
    if not module_name:
        raise _Problem("write the class with its module, 'sklearn.linear_model.LogisticRegression'")
    try:
        estimator_class = getattr(imported_module(module_name), name, None)
    except NotImportable as error:
        raise _Problem(str(error)) from error
    except ImportError as error:
        raise _Problem(f"its module cannot be imported: {error}") from error
    if not inspect.isclass(estimator_class):
        raise _Problem(f"the module '{module_name}' has no class '{name}'")
    return estimator_class


def _parameters(create: Callable[..., Any]) -> list[str] | None:
    """Return the names of the parameters, or None where any is accepted or the signature is unknown."""
    try:
        parameters = inspect.signature(create).parameters.values()
    except ValueError:
        return None
    return None if any(item.kind is item.VAR_KEYWORD for item in parameters) else [item.name for item in parameters]


def _unset(estimator: Any, name: str) -> Iterator[str]:
    """Yield the parameters called `name`, its parts' too (`estimator__random_state`), that were left unset."""
    if hasattr(estimator, "get_params"):
        for path, value in sorted(estimator.get_params().items()):
            if path.rpartition("__")[2] == name and value is None:
                yield path


def _unlimited(estimator: Any) -> Iterator[str]:
    """Yield the parameters `n_jobs` that were left unset where that means every core: not in scikit-learn's own."""
    params = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for path in _unset(estimator, "n_jobs"):
        owner = params.get(path.rpartition("__")[0], estimator)
        if not type(owner).__module__.startswith("sklearn."):
            yield path


def _check(factory: StepFactory, workload: Workload, last: bool) -> None:
    """Refuse what would fail every group: wrong values, no scores, bytes that load nowhere else."""
    columns, estimator = len(workload.features.columns), factory(seed=0)
    if problem := parameter_problem(factory(seed=0), columns, factory.create):
        raise _Problem(problem)
    if last:
        _check_answers(factory, workload, estimator)
    if not last and not hasattr(estimator, "transform"):
        raise _Problem("is not the last step, yet it has no method 'transform'")
    try:
        stored = pickle.dumps(estimator, protocol=pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        let_through(error)
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
        declare = f"to allow it, declare 'pack: {{allowed_imports: [\"{name}\"]}}'" if name else "leave it out"
        raise _Problem(f"its estimator {error}: no stored model may; {declare}") from error


def _check_answers(factory: StepFactory, workload: Workload, estimator: Any) -> None:
    """Refuse what gives no answers of the workload's kind of outcome: labels alone rank nothing."""
    kind = kind_of(workload.outcome)
    if problem := kind.refuses(estimator):
        raise _Problem(problem)
    if workload.weight is not None and (part := without_weights(estimator)):
        why = f"but 'weight: {workload.weight}' is declared"
        raise _Problem(f"{part} takes no 'sample_weight', {why}; name an estimator that does, or leave 'weight' out")
    if not any(hasattr(estimator, name) for name in kind.methods):
        first_fit(fitted := factory(seed=0), len(workload.features.columns))  # some know only then what they can do
        if not any(hasattr(fitted, name) for name in kind.methods):
            raise _Problem(f"gives no scores: it has none of {bounded(kind.methods)}")
