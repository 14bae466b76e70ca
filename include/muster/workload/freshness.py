"""How long a partition waits for its data, what it asks of them, and what it does when they are late."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from muster.workload.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Freshness(Section):
    """What `ingest` waits for; a workload without this section does not wait: a missing day fails `ingest`."""

    wait_hours: float = Field(
        12, ge=0, le=24 * 366, description="For how long a partition waits, from when it is due, or triggered by hand."
    )
    late: Literal["fail", "go_on", "skip"] = Field(
        "fail", description="What is done then: fail, ingest what is there, or skip the partition."
    )
    look_every_minutes: float = Field(
        1, ge=0.1, le=24 * 60, description="How often it is looked whether anything has come; a database counts for it."
    )
    rows: Share = Field(
        0.5, description="A day has at least this share of the rows that its weekday had of late; 0 does not ask."
    )
    groups: Share = Field(0.5, description="At least this share of the usual groups is there; 0 does not ask.")
    stale_after: int | None = Field(
        None, ge=1, description="So many last days without a row of a group: it is not trained, its champion stays."
    )
