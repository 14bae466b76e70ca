"""What is done with groups that have more rows than one task can hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from muster.workload.section import Section


class LargeGroups(Section):
    """Which groups are large, and what becomes of them; a workload without this section trains each on all its rows."""

    rows: PositiveInt = Field(description="More rows than this in the days that it is trained on: a group is large.")
    then: Literal["sample", "fail"] = Field(
        "sample", description="Train it on about so many of its rows, always the same ones; or record it as failed."
    )
