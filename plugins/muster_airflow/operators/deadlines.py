"""Looks at a workload's deadlines, and tells whom it declares what they do not know yet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from muster.settings import settings
from muster_airflow.exceptions import NotTold

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.deadlines.told import Report


class DeadlinesOperator(BaseOperator):
    """Look at a workload's deadlines; send a message of each that is missed, once to everyone, and one when it is over.

    Asked are the results of jobs and the journal of the champion in the store, so it fires as well where no run came at
    all. Who is not reached is told at the next look; the task fails then, once it has tried all others.

    :param workload: path of the workload's YAML file. (templated)
    """

    template_fields = ("workload",)
    ui_color = "#f7ded6"

    def __init__(self, *, workload: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workload = workload

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what is missed, what is over, and how many messages were sent.

        Raises:
            NotTold: when somebody could not be reached.
        """
        from muster.deadlines.message import late  # not while DAGs are parsed
        from muster.deadlines.told import tell, watched
        from muster_airflow.channels import reason, send

        of_workload, refused = watched(Path(self.workload), settings())
        report = tell(of_workload, datetime.now(UTC), send, _airflow(), refused)
        for missed in report.looked.missed:
            self.log.warning("%s", late(of_workload.workload, missed).text)
        for one in report.looked.over:
            self.log.info("over: %s: %s", one.key, one.how)
        self._log_sent(report)
        if report.not_reached:
            raise NotTold([f"{one.channel}: {reason(one.error)}" for one in report.not_reached]) from None
        return {
            "missed": [late(of_workload.workload, missed).subject for missed in report.looked.missed],
            "over": [str(one.key) for one in report.looked.over],
            "sent": len(report.sent),
        }

    def _log_sent(self, report: Report) -> None:
        if report.told.unreadable:
            self.log.warning("%s: everyone is told anew what is missed", report.told.unreadable)
        for channel, message in report.sent:
            self.log.info("told %s: %s", channel, message.subject)
        if not report.looked.missed:
            self.log.info("every deadline holds")


def _airflow() -> str:
    """Return the address of Airflow's pages."""
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback=""))
