"""Factories of estimators: a new one for every group, seeded with the group's own seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import has_fit_parameter

from muster.workload.algorithm import Search


@dataclass(frozen=True)
class StepFactory:
    """Creates one step: a class or a function that returns an estimator, its parameters, and what to seed."""

    create: Callable[..., Any]
    params: dict[str, Any]
    unseeded: tuple[str, ...] = ()
    """Parameters called `random_state`, its parts' too (`estimator__random_state`), that were left unset."""
    unlimited: tuple[str, ...] = ()
    """Parameters called `n_jobs` that were left unset, where that means every core: a group is fitted on one."""

    def __call__(self, seed: int) -> Any:
        """Return a new step; what was left unseeded gets `seed`."""
        step = self.create(**self.params)
        for name, value in (*((name, seed) for name in self.unseeded), *((name, 1) for name in self.unlimited)):
            if "__" in name:
                step.set_params(**{name: value})
            else:  # a parameter is an attribute: twenty times quicker than set_params
                setattr(step, name, value)
        return step


@dataclass(frozen=True)
class EstimatorFactory:
    """Creates an algorithm's estimator for every group; it travels to the executors."""

    name: str
    steps: tuple[StepFactory, ...]
    search: Search | None = None
    supervised: bool = True
    """False for an outlier detector: it learns from every row, labelled or not, and is shown no label."""

    def create(self, seed: int) -> Any:
        """Return a new unfitted estimator, a Pipeline where several steps are declared.

        `seed` is any number from 0: its lower 31 bits are used, which every library takes.
        """
        steps = [step(seed % 2**31) for step in self.steps]
        return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def without_weights(estimator: Any) -> str | None:
    """Return what would be fitted without the rows' weights: an estimator, of a pipeline its last step, or the part of
    it that is named; None where all that learns takes them. What is made of others gives its parts the weights, or fits
    them without, and says so in a warning at most."""
    _, learns = _last(estimator)
    if not has_fit_parameter(learns, "sample_weight"):
        return "its 'fit'"
    parts = learns.get_params(deep=True) if hasattr(learns, "get_params") else {}
    return next((f"'fit' of its '{name}'" for name, part in parts.items() if _lacks_weights(part)), None)


def _lacks_weights(part: Any) -> bool:
    """Tell whether a parameter is an estimator that cannot be given weights by that name: no pipeline can."""
    is_estimator = hasattr(part, "fit") and not isinstance(part, type)
    return is_estimator and not has_fit_parameter(part, "sample_weight")


def weight_parameter(estimator: Any) -> str:
    """Return the name by which `fit` takes the rows' weights: of a pipeline that of its last step."""
    return f"{_last(estimator)[0]}sample_weight"


def _last(estimator: Any) -> tuple[str, Any]:
    """Return what learns of the labels in the end, and how its parameters' names begin."""
    prefix = ""
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        prefix += f"{name}__"
    return prefix, estimator
