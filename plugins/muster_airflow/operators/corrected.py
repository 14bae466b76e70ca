"""Tells whoever trains that data were corrected that models have learnt from."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from muster.errors import bounded
from muster.printable import number
from muster.settings import settings
from muster_airflow.correction import corrected_days

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context


class NothingCorrected(AirflowSkipException):
    """Raised when no model has learnt from anything that was corrected, so that no event is posted."""


class CorrectedOperator(BaseOperator):
    """Post an event where the run follows from a correction; its key is the newest partition that learns from it.

    :param workload: path of the workload's YAML file.
    :param corrected: the asset of the event.
    """

    def __init__(self, *, workload: str, corrected: Asset, **kwargs: Any) -> None:
        super().__init__(outlets=[corrected], **kwargs)
        self.workload = workload
        self.corrected = corrected

    def execute(self, context: Context) -> dict[str, Any]:
        """Find what the correction touches, and tell.

        Raises:
            NothingCorrected: when there was none, or nothing has learnt from the days yet.
        """
        from muster.context import Context as WorkloadContext  # not while DAGs are parsed
        from muster.features.corrected import corrected

        days = [date.fromisoformat(day) for day in corrected_days(context)]
        if not days:
            raise NothingCorrected("this run follows from no correction")
        touched = corrected(WorkloadContext.of_file(Path(self.workload), settings()), days)
        if touched is None:
            raise NothingCorrected(f"no model has learnt from {bounded(days)}, or was judged on them")
        why = f"{number(len(days), 'day')} of its data were corrected: {bounded(days, 3)}"
        told = {"count": touched.count, "groups": list(touched.groups), "why": why}
        events = context["outlet_events"][self.corrected]
        events.extra = told
        events.add_partitions(touched.partition)
        self.log.info("Told that partition %s is to be trained again: %s", touched.partition, why)
        return {"partition": touched.partition, **told}
