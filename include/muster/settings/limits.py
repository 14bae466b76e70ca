"""How many calls an MLflow server may be sent, and how long a process waits for it: two sections of the settings."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

CallClass = Literal["search", "log_batch", "registry", "rest"]
CLASSES: tuple[CallClass, ...] = get_args(CallClass)


class CallRates(BaseModel):
    """Calls a second that a server may be sent, by class of call; the defaults are Databricks' published limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    search: float = Field(default=7, description="Searches: runs, logged models, registered models, versions.")
    log_batch: float = Field(default=47, description="Metrics, params and tags of a run, written in one call.")
    registry: float = Field(default=40, description="Registered models, their versions and aliases.")
    rest: float = Field(default=127, description="All else: runs, experiments, logged models, artifacts.")

    @model_validator(mode="before")
    @classmethod
    def _check_rates(cls, rates: Any) -> Any:
        """Report each unknown class and each value that is no positive number, all at once."""
        if not isinstance(rates, dict):
            return rates
        known = ", ".join(CLASSES)
        problems = [f"no class of call '{name}'; there is: {known}" for name in rates if name not in CLASSES]
        problems += [
            f"'{name}' is '{value}': give the calls a second as a number above 0"
            for name, value in rates.items()
            if name in CLASSES and not _above_zero(value)
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return rates

    def of(self, call_class: CallClass) -> float:
        """Return the figure of one class."""
        figure: float = getattr(self, call_class)
        return figure


def _above_zero(value: object) -> bool:
    try:
        return not isinstance(value, bool) and 0 < float(value) < math.inf  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


class Waiting(BaseModel):
    """How long a process waits for MLflow, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patience: float = Field(default=30, ge=0, description="For one call, where giving up loses nothing.")
    patience_spark: float = Field(default=300, ge=0, description="For one call of a process that holds a session.")
    first_pause: float = Field(default=0.5, gt=0, description="Before a call is sent again; doubled each time.")
    longest_pause: float = Field(default=60, gt=0, description="Where the doubling ends.")
    recovery: float = Field(default=60, gt=0, description="From no rate at all back to the whole, after throttling.")
    lost_answer: float = Field(default=2, ge=0, description="Until what a lost response was about must be visible.")
    pending: float = Field(default=300, ge=0, description="For a registered version to be ready.")
