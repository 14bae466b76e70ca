"""What a workload declares: one frozen model a section of its YAML; unknown keys are refused."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt

STAGES = ("ingest", "features", "train", "evaluate", "promote", "score")
Stage = Literal["ingest", "features", "train", "evaluate", "promote", "score"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
ColumnType = Literal["string", "int", "float", "bool", "date", "timestamp"]

RESERVED = frozenset({"group", "bucket", "row_id", "time", "date", "label", "parent", "partition"})
"""Columns that Muster itself writes."""

_COLUMN = re.compile(r"^(?P<type>[a-z]+)(?P<optional>\?)?(?:\s*\[\s*(?P<low>[^,\]]*),(?P<high>[^,\]]*)\])?$")


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
    if not isinstance(text, str):
        return text
    match = _COLUMN.match(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no column: write a type, '?' if it may be missing, a range: 'float? [0, 100]'")
    limits = {side: float(match[side]) for side in ("low", "high") if match[side] and match[side].strip()}
    if limits and match["type"] not in ("int", "float"):
        raise ValueError(f"'{text}': only int and float columns have a range")
    return {"type": match["type"], "optional": bool(match["optional"]), **limits}


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


def _steps(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    return [_step(item) for item in items]


def _step(item: object) -> object:
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        ((name, params),) = item.items()
        return {"name": name, "params": params or {}}
    return item


class Windows(Section):
    """Days to train on, then days to judge on, both before the partition."""

    train: PositiveInt
    evaluate: PositiveInt
    min_rows: PositiveInt = Field(20, description="Fewer labelled training rows than this: the group is skipped.")


class Gate(Section):
    """When a candidate replaces a champion."""

    metric: Literal["roc_auc"] = "roc_auc"
    baseline: str = Field("prior", description="`prior` (a constant) or a feature whose value is the score to beat.")
    resamples: int = Field(1000, ge=100, le=100_000)
    win_rate: float = Field(0.9, gt=0.5, le=1.0)
    min_positives: PositiveInt = Field(10, description="Fewer positives or negatives to judge on than this: hold.")


class Parent(Section):
    """A parent model for each value of `keys`, trained on a `share` of its groups' rows."""

    keys: tuple[Name, ...]
    share: float = Field(0.1, gt=0, le=1)


class Pack(Section):
    """How the models of all groups are kept together, and what answers for a group without one."""

    fallback: Literal["baseline", "error"] | Parent = "baseline"
    cache_bytes: int = Field(256 * 2**20, ge=2**20, description="Bytes of loaded models a server keeps.")
    shard_bytes: int = Field(256 * 2**20, ge=2**20, description="Largest shard of a champion pack.")


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
    unique: tuple[Name, ...] = Field(min_length=1, description="Columns that tell one observation from another.")
    label: Label
    features: Features
    estimator: Annotated[tuple[Step, ...], BeforeValidator(_steps)] = Field(min_length=1)
    windows: Windows
    gate: Gate = Gate()
    pack: Pack = Pack()
    schedule: Schedule
    max_failed: float = Field(0.5, ge=0, le=1, description="A larger share of failed groups fails training.")
    retries: int = Field(1, ge=0, le=10)
    seed: int = 0
    landing: str = Field("", description="`module:name` or `name` of a function that delivers the files; see docs.")
