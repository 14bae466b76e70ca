"""An algorithm: one step, or several that become a pipeline, and a search of its parameters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from muster.printable import cell
from muster.workload.section import Section


class Step(Section):
    """An estimator: a class by dotted name, or a function of one's own (`module:name`, `:name`); and its parameters."""

    name: str
    params: dict[str, Any] = Field({})


def _step(item: object) -> object:
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        ((name, params),) = item.items()
        item = {"name": name, "params": {} if params is None else params}
    if not (isinstance(item, dict) and item.keys() <= {"name", "params"} and isinstance(item.get("params", {}), dict)):
        raise ValueError(f"'{cell(item)}' is no estimator: write its dotted name, or {{name: {{parameter: value}}}}")
    return item


def _steps(value: object) -> object:
    return value if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class Search(Section):
    """Parameters to choose for each group by itself, by cross-validation on its training days."""

    folds: int = Field(3, ge=2, le=20, description="Each is judged by what was learnt from all before it.")
    grid: dict[str, Values] = Field(min_length=1, description="Each parameter's values, named as scikit-learn does.")


class Algorithm(Section):
    """A way to train a group's model: one step, or several that become a pipeline; and a search of its parameters."""

    steps: Annotated[tuple[Annotated[Step, BeforeValidator(_step)], ...], BeforeValidator(_steps)] = Field(min_length=1)
    search: Search | None = None


def parse_algorithm(value: object) -> object:
    """Return the sections of an algorithm that may be written as its steps alone."""
    whole = (
        value is None
        or isinstance(value, Algorithm)
        or (isinstance(value, dict) and value.keys() & Algorithm.model_fields.keys())
    )
    return value if whole else {"steps": value}
