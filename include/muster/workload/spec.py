"""What a workload declares: one frozen model a section of its YAML; unknown keys are refused."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PositiveInt, Tag

from muster.workload import rule

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
ColumnType = Literal["string", "int", "float", "bool", "date", "timestamp"]

RESERVED = frozenset({"group", "bucket", "row_id", "time", "date", "label", "parent", "partition"})
"""Columns that Muster itself writes."""

_IMPORT_PATTERN = r"^[A-Za-z_]\w*$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
_COLUMN_PATTERN = re.compile(r"^(?P<type>[a-z]+)(?P<optional>\?)?(?:\s*\[\s*(?P<low>[^,\]]*),(?P<high>[^,\]]*)\])?$")


class Section(BaseModel):
    """A section of the YAML: immutable, strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(Section):
    """A landed column: `float? [0, 100]` reads as type, may be missing (`?`), and its inclusive range."""

    type: ColumnType
    optional: bool = False
    low: float | None = None
    high: float | None = None


def _column(text: object) -> object:
    if isinstance(text, dict):
        return text
    match = _COLUMN_PATTERN.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"'{text}' is no column: write a type, '?' if it may be missing, a range: 'float? [0, 100]'")
    if match["type"] not in get_args(ColumnType):
        raise ValueError(f"'{match['type']}' is no type of a column; there is: {', '.join(get_args(ColumnType))}")
    return {"type": match["type"], "optional": bool(match["optional"]), **_limits(match)}


def _limits(match: re.Match[str]) -> dict[str, float]:
    try:
        limits = {side: float(match[side]) for side in ("low", "high") if match[side] and match[side].strip()}
    except ValueError:
        raise ValueError(f"'{match[0]}': a range is of two numbers: [0, 100], or of one: [0, ]") from None
    if limits and match["type"] not in ("int", "float"):
        raise ValueError(f"'{match[0]}': only int and float columns have a range")
    if limits.get("low", -math.inf) > limits.get("high", math.inf):
        raise ValueError(f"'{match[0]}': the range ends before it begins")
    return limits


class Label(Section):
    """What to predict: 1 where `column` is greater than `above`, 0 where not; without a value, no label."""

    column: Name
    above: float


class Features(Section):
    """The columns that models see, and the function that computes them."""

    columns: tuple[Name, ...] = Field(min_length=1)
    function: str = Field("features", description="`name` in the workload's own Python file, or `module:name`.")
    lookback: int = Field(0, ge=0, description="Days before a row's day whose observations the function may use.")
    buckets: int = Field(16, ge=1, le=4096, description="Hash buckets that the features table is laid out by.")


class Step(Section):
    """An estimator: a class by dotted name, or a function of one's own (`module:name`, `:name`); and its parameters."""

    name: str
    params: dict[str, Any] = {}


def _step(item: object) -> object:
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        ((name, params),) = item.items()
        item = {"name": name, "params": {} if params is None else params}
    if not (isinstance(item, dict) and item.keys() <= {"name", "params"} and isinstance(item.get("params", {}), dict)):
        raise ValueError(f"'{item}' is no estimator: write its dotted name, or {{name: {{parameter: value}}}}")
    return item


def _steps(value: object) -> object:
    return list(value) if isinstance(value, (list, tuple)) else [value]


Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class Search(Section):
    """Parameters to choose for each group by itself, by cross-validation on its training days."""

    folds: int = Field(3, ge=2, le=20, description="Each is judged by what was learnt from all before it.")
    grid: dict[str, Values] = Field(min_length=1, description="Each parameter's values, named as scikit-learn does.")


class Algorithm(Section):
    """A way to train a group's model: one step, or several that become a pipeline; and a search of its parameters."""

    steps: Annotated[tuple[Annotated[Step, BeforeValidator(_step)], ...], BeforeValidator(_steps)] = Field(min_length=1)
    search: Search | None = None


def _algorithm(value: object) -> object:
    whole = isinstance(value, Algorithm) or (isinstance(value, dict) and value.keys() & Algorithm.model_fields.keys())
    return value if whole else {"steps": value}


class Windows(Section):
    """Days to train on, then days to judge on, both before the partition."""

    train: PositiveInt
    evaluate: PositiveInt
    min_rows: PositiveInt = Field(20, description="Fewer labelled training rows than this: the group is skipped.")


class Gate(Section):
    """When a candidate replaces a champion."""

    metric: Literal["roc_auc", "average_precision", "log_loss", "rmse", "mae"] = "roc_auc"
    mode: Literal["enabled", "dry_run", "disabled"] = Field(
        "enabled", description="`dry_run` judges and moves nothing; `disabled` does not even judge."
    )
    baseline: str = Field("prior", description="`prior` (a constant) or a feature whose value is the score to beat.")
    resamples: int = Field(1000, ge=100, le=100_000)
    win_rate: float = Field(0.9, gt=0.5, le=1.0)
    false_promotions: float = Field(0.1, gt=0, le=1, description="Share of the promoted that may be no better; 1: any.")
    min_positives: PositiveInt = Field(10, description="Fewer positives or negatives to judge on than this: hold.")
    min_rows: PositiveInt = Field(20, description="Fewer labelled rows to judge on than this: hold.")
    max_changed: float = Field(
        1.0, ge=0, le=1, description="A change of a larger share of the champion's groups needs a human's approval."
    )
    approval_hours: float = Field(24, gt=0, le=24 * 365, description="No answer for so long is a rejection.")


class Parent(Section):
    """A parent model for each value of `keys`, trained on a `share` of its groups' rows."""

    keys: tuple[Name, ...]
    share: float = Field(0.1, gt=0, le=1)


def _kind_of_fallback(value: object) -> str:
    return "(parent)" if isinstance(value, (dict, Parent)) else "(word)"


Word = Annotated[Literal["baseline", "error"], Tag("(word)")]
Fallback = Annotated[Word | Annotated[Parent, Tag("(parent)")], Discriminator(_kind_of_fallback)]


class Pack(Section):
    """How the models of all groups are kept together, and what answers for a group without one."""

    fallback: Fallback = Field("baseline", description="`baseline`, `error`, or a parent's `keys` and `share`.")
    cache_bytes: int = Field(256 * 2**20, ge=2**20, description="Bytes of loaded models a server keeps.")
    shard_bytes: int = Field(256 * 2**20, ge=2**20, description="Largest shard of a champion pack.")
    allowed_imports: tuple[Annotated[str, Field(pattern=_IMPORT_PATTERN)], ...] = Field(
        (),
        validation_alias=AliasChoices("allowed_imports", "loads"),
        description="What a stored model may name beside numpy, scipy, scikit-learn and the packages of the declared "
        "steps: a package, for its classes, or one function as `module:name`. `loads` is another name of this key.",
    )


class Schedule(Section):
    """Which partitions there are, and when each is due."""

    every: PositiveInt = Field(7, description="Days of a partition.")
    start: date = Field(description="The first partition: every other is a whole number of slices later.")
    end: date | None = Field(None, description="The last partition.")
    cron: str | None = Field(None, description="When a partition is due; without it, runs are triggered by hand.")
    demo: tuple[date, ...] = Field((), description="The partitions that `./muster up` runs.")


class Workload(Section):
    """A declared pipeline."""

    name: Name
    description: str = ""
    owner: str = "muster"
    tags: tuple[str, ...] = ()
    keys: tuple[Name, ...] = Field(min_length=1)
    time: Name
    columns: dict[Name, Annotated[Column, BeforeValidator(_column)]] = Field(min_length=1)
    unique: tuple[Name, ...] = Field(min_length=1, description="Columns that identify an observation.")
    rules: dict[Name, Annotated[rule.Rule, BeforeValidator(rule.parse)]] = Field(
        {}, description="What holds across two columns of a good row, by the reason for which another is refused."
    )
    label: Label
    features: Features
    algorithms: dict[Name, Annotated[Algorithm, BeforeValidator(_algorithm)]] = Field(min_length=1)
    windows: Windows
    gate: Gate = Gate()
    pack: Pack = Pack()
    registry: Literal["pack", "per_group"] = Field(
        "pack", description="One registered model that holds all groups' models, or one for each promoted group."
    )
    schedule: Schedule
    max_failed: float = Field(0.5, ge=0, le=1, description="A larger share of failed groups fails training.")
    retries: int = Field(1, ge=0, le=10)
    seed: int = 0
    landing: str = Field("", description="`module:name` or `name` of a function that delivers the files; see docs.")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all algorithms."""
        return tuple(step for algorithm in self.algorithms.values() for step in algorithm.steps)
