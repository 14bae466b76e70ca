"""When a champion counts as degraded, and features as drifted, once outcomes are there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from muster.workload.section import Name, Section


class Monitor(Section):
    """How scored rows are watched; a workload without this section has no stage `monitor`."""

    days: int | None = Field(
        None,
        ge=1,
        le=366,
        description="Scored days, up to the partition's last, that are judged together; unless declared the slice's, "
        "or a week of slices that are shorter.",
    )
    min_rows: PositiveInt = Field(30, description="A group with fewer rows, or labelled rows, is not tested.")
    worse_by: float | None = Field(
        None,
        ge=0,
        description="In the metric's unit: a champion is degraded that is surely worse by more than this than when it "
        "was judged; unless declared a tenth of what it was better than chance by.",
    )
    psi: Annotated[float, Field(ge=0)] = Field(
        0.2, description="Population stability index above which a feature, or the scores, may count as drifted."
    )
    columns: tuple[Name, ...] = Field((), description="The features that are watched; unless declared all.")
    false_alarms: float = Field(0.1, gt=0, le=0.5, description="Share of a partition's alarms that may be false.")
    alarms_a_year: float = Field(
        1.0, gt=0, le=366, description="Partitions a year that may raise any alarm although nothing happened."
    )
