"""That a partition runs once its data have come, and how often it is looked for them."""

from __future__ import annotations

from pydantic import Field

from muster.workload.section import Section


class Arrivals(Section):
    """A workload with this section runs what arrives; one without it what is due, or triggered by hand."""

    look_seconds: int = Field(
        60,
        ge=5,
        le=86_400,
        description="How often the source is asked what has come; a delivery that is the same at two looks is taken.",
    )
