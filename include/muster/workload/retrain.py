"""Which partitions are trained: by their cadence, and off it for a cause."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from muster.workload.section import MAX_DAYS, Section, parse_days

Cause = Literal["degraded", "drifted", "corrected", "by_hand"]
CAUSES: tuple[Cause, ...] = ("degraded", "drifted", "corrected", "by_hand")
EVENTS: tuple[Cause, ...] = CAUSES[:-1]
"""The causes that are events: of the asset of their name, with the partition to train as their key."""


class Retrain(Section):
    """When a partition is trained; a workload without this section trains each."""

    every: Annotated[int, BeforeValidator(parse_days)] = Field(
        ge=1, le=MAX_DAYS, description="Days from a partition that was trained to the next one that is: whole slices."
    )
    on: tuple[Cause, ...] = Field(CAUSES, description="For which causes a partition is trained though it is not due.")
    at_least_apart: Annotated[int, BeforeValidator(parse_days)] | None = Field(
        None,
        ge=1,
        le=MAX_DAYS,
        description="Days before a partition in which none was trained, or an event trains it not; unless declared, a "
        "slice's.",
    )
    score_waits: bool = Field(
        False, description="Whether a partition that is trained is scored once its promotion has ended."
    )
