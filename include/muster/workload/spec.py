"""What a workload declares: one frozen model a section of its YAML; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AliasPath, BeforeValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from muster.workload.algorithm import Algorithm, Step, parse_algorithm
from muster.workload.arrivals import Arrivals
from muster.workload.column import Column, parse_column, parse_time, parse_unique
from muster.workload.deadlines import Alert, Deadlines
from muster.workload.freshness import Freshness
from muster.workload.large_groups import LargeGroups
from muster.workload.monitor import Monitor
from muster.workload.outcome import Outcome, completed
from muster.workload.retrain import Retrain
from muster.workload.rule import Rule, parse_rule
from muster.workload.section import MAX_DAYS, Name, Section, parse_days
from muster.workload.source import DeclaredSource
from muster.workload.zone import parse_zone

RESERVED = frozenset(
    {
        "group",
        "bucket",
        "row_id",
        "time",
        "date",
        "label",
        "parent",
        "partition",
        "feature_error",
        "resample_by",
        "sample_weight",
    }
)
"""Columns that Muster itself writes."""

PREDICTED = frozenset(
    {
        "partition",
        "group",
        "bucket",
        "row_id",
        "time",
        "score",
        "fallback",
        "model_version",
        "origin_run",
        "features_version",
        "scored_at",
        "seen_in_training",
        "predicted",
    }
)
"""Columns that predictions have anyway."""

_IMPORT_PATTERN = r"^[A-Za-z_]\w*$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
"""Within these, and windows of a century at most, no date of a partition is one that Python does not know."""

Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]
Share = Annotated[float, Field(ge=0, le=1)]
ShortText = Annotated[str, Field(min_length=1, max_length=100)]
"""What Airflow has a short column for."""


class Features(Section):
    """The columns that models see, and the function that computes them."""

    columns: tuple[Name, ...] = Field(min_length=1)
    function: str = Field("features", description="`name` in the workload's own Python file, or `module:name`.")
    lookback: int = Field(
        0, ge=0, le=MAX_DAYS, description="Days before a row's day whose observations the function may use."
    )
    buckets: int = Field(16, ge=1, le=4096, description="Hash buckets that the features table is laid out by.")


class Windows(Section):
    """Days to train on, then days to judge on, both before the partition."""

    train: int = Field(ge=1, le=MAX_DAYS)
    evaluate: int = Field(ge=1, le=MAX_DAYS)
    min_rows: PositiveInt = Field(20, description="Fewer labelled training rows than this: the group is skipped.")


class Gate(Section):
    """When a candidate replaces a champion."""

    metric: Literal["roc_auc", "average_precision", "log_loss", "rmse", "mae", "mape", "pinball", "mass_volume"] = (
        Field(
            "roc_auc",
            description="What is judged by; unless declared of numbers `rmse`, of classes `log_loss`, without labels "
            "`mass_volume`.",
        )
    )
    mode: Literal["enabled", "dry_run", "disabled"] = Field(
        "enabled", description="`dry_run` judges and moves nothing; `disabled` does not even judge."
    )
    rule: Literal["better", "not_worse"] = Field(
        "better", description="`not_worse`: a champion is replaced by what is not worse than it by `margin`."
    )
    least_gain: float | None = Field(
        None,
        ge=0,
        description="In the metric's unit: how much better than a champion `better` must surely be; unless declared 0, "
        "by `mass_volume` 4 % of the champion's.",
    )
    margin: float = Field(0.0, ge=0, description="In the metric's unit: how much worse `not_worse` puts up with.")
    max_age: Annotated[int, BeforeValidator(parse_days)] | None = Field(
        None, ge=1, le=MAX_DAYS, description="`60d`: a champion of an older partition needs a rival that is not worse."
    )
    baseline: str | float = Field(
        "prior",
        description="What is to be beaten: `prior` (a constant: the share of positives or of each class, or the mean, "
        "of the training rows), of numbers also `median` or `last` of them, a number, or a feature whose value is the "
        "score; of classes `prior` alone.",
    )
    quantile: float | None = Field(None, gt=0, lt=1, description="Of `metric: pinball`: which is predicted.")
    alerts: tuple[Share, Share] | None = Field(
        None, description="Without labels: the least and the largest share of the rows that may be alerts."
    )
    agreement: float | None = Field(
        None, gt=0, le=1, description="Without labels: the least rank correlation with the champion's scores."
    )
    at_least: float | None = Field(None, description="What the metric must be surely better than, beside chance.")
    resample: Name = Field(
        "day",
        description="What is drawn as one: the rows of a `day` are not independent; or each `row` by itself; or the "
        "rows that have one value in a column.",
    )
    resamples: int = Field(1000, ge=100, le=100_000)
    win_rate: float = Field(0.9, gt=0.5, le=1.0)
    false_promotions: float = Field(0.1, gt=0, le=1, description="Share of the promoted that may be no better; 1: any.")
    min_positives: PositiveInt = Field(10, description="Fewer rows of a class to judge on than this: hold.")
    min_rows: PositiveInt = Field(20, description="Fewer labelled rows to judge on than this: hold.")
    min_days: int = Field(
        5, ge=2, description="Labelled rows of fewer days, or values, than this, where such are drawn: hold."
    )
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
    mlflow_bytes: int = Field(
        64 * 2**20,
        ge=0,
        description="Bytes of a pack's models up to which MLflow has them too; those of a larger one are in the store "
        "alone.",
    )
    allowed_imports: tuple[Annotated[str, Field(pattern=_IMPORT_PATTERN)], ...] = Field(
        (),
        validation_alias=AliasChoices("allowed_imports", "loads"),
        description="What a stored model may name beside numpy, scipy, scikit-learn and the packages of the declared "
        "steps: a package, for its classes, or one function as `module:name`. `loads` is another name of this key.",
    )


class Predictions(Section):
    """What predictions have beside the answer."""

    columns: tuple[Name, ...] = Field((), description="Declared columns that each prediction has of its row.")


class Schedule(Section):
    """Which partitions there are, and when each is due."""

    every: int = Field(7, ge=1, le=3_660, description="Days of a partition.")
    start: Day = Field(description="The first partition: every other is a whole number of slices later.")
    end: Day | None = Field(None, description="The last partition.")
    cron: str | None = Field(None, description="When a partition is due; without it, runs are triggered by hand.")
    catchup: bool = Field(
        True, description="Whether slices that an outage or a pause left out run afterwards, oldest first."
    )
    demo: tuple[Day, ...] = Field((), description="The partitions that `./muster up` runs.")


class Housekeeping(Section):
    """What `housekeeping` leaves: all else that nobody needs any more goes."""

    keep: int = Field(12, ge=1, le=10_000, description="Promotions that can be taken back, and runs that stay.")
    days: int = Field(
        7, ge=7, le=MAX_DAYS, description="Younger files stay, whoever needs them; so do old versions of tables."
    )
    log_days: int = Field(30, ge=1, le=MAX_DAYS, description="Logs of this machine's services that stay.")


class Workload(Section):
    """A declared pipeline."""

    name: Name
    description: str = Field("", max_length=10_000)
    owner: ShortText = "muster"
    tags: tuple[ShortText, ...] = Field((), max_length=50)
    source: DeclaredSource = DeclaredSource()
    keys: tuple[Name, ...] = Field(min_length=1)
    time: Annotated[Name, BeforeValidator(parse_time)]
    zone: Annotated[str | None, BeforeValidator(parse_zone)] = Field(
        None,
        validation_alias=AliasPath("time", "zone"),
        exclude=True,  # no key of its own: what is dumped reads as it was
        description="Written `time: {column, zone}`: where days begin at midnight, and what times without an offset "
        "are of; UTC unless declared.",
    )
    columns: dict[Name, Annotated[Column, BeforeValidator(parse_column)]] = Field(min_length=1)
    unique: Annotated[tuple[Name, ...], BeforeValidator(parse_unique)] = Field(
        description="Columns that identify an observation of a day; none of them by `row`: each row is one."
    )
    rules: dict[Name, Annotated[Rule, BeforeValidator(parse_rule)]] = Field(
        {}, description="What holds across two columns of a good row, by the reason for which another is refused."
    )
    outcome: Outcome
    weight: Name | None = Field(None, description="The column that says how much a row counts in fits and metrics.")
    features: Features
    algorithms: dict[Name, Annotated[Algorithm, BeforeValidator(parse_algorithm)]] = Field(min_length=1)
    windows: Windows
    large_groups: LargeGroups | None = Field(None, description="Without it each group is trained on all its rows.")
    gate: Gate = Gate()
    pack: Pack = Pack()
    predictions: Predictions = Predictions()
    registry: Literal["pack", "per_group"] = Field(
        "pack", description="One registered model that holds all groups' models, or one for each promoted group."
    )
    schedule: Schedule
    retrain: Retrain | None = Field(None, description="Without it each partition is trained.")
    arrivals: Arrivals | None = Field(
        None, description="With it a partition runs once its days have come, and again once one of them is corrected."
    )
    freshness: Freshness | None = Field(None, description="Without it a day that is missing fails `ingest`.")
    monitor: Monitor | None = Field(None, description="Without it there is no stage `monitor`.")
    deadlines: Deadlines | None = Field(None, description="By when data and predictions are there; how old a champion.")
    alerts: tuple[Alert, ...] = Field((), max_length=20, description="Who is told of a missed deadline, and its end.")
    housekeeping: Housekeeping = Housekeeping()
    max_refused: float = Field(0.5, ge=0, le=1, description="A larger share of refused rows of a day fails ingest.")
    max_failed: float = Field(0.5, ge=0, le=1, description="A larger share of failed groups fails training.")
    retries: int = Field(1, ge=0, le=10)
    seed: int = 0
    landing: str = Field("", description="`module:name` or `name` of a function that delivers the files; see docs.")

    @model_validator(mode="before")
    @classmethod
    def _by_outcome(cls, declared: Any) -> Any:
        return completed(declared) if isinstance(declared, Mapping) else declared

    @property
    def resample_by(self) -> str | None:
        """The column whose values are drawn as one; None where days or rows are."""
        return None if self.gate.resample in ("day", "row") else self.gate.resample

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all algorithms."""
        return tuple(step for algorithm in self.algorithms.values() for step in algorithm.steps)
