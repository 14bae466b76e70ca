"""Carries a backfill out: starts what nothing else starts, one partition at a time, and says what came of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from muster.backfill.request import PROBLEM, REPORT, Backfill, Request, partitions_of
from muster.errors import WorkloadError, WrongArgument
from muster.settings import settings
from muster.workload.load import find_workload
from muster_airflow.hooks.airflow_api import AirflowApiHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from muster.backfill.advance import Advance, At

PAUSE_BETWEEN = (timedelta(seconds=5), timedelta(minutes=1))
"""How soon, and how late at most, it is looked again: after a fifth of the time since anything has changed."""

SHOWN_AS = "backfill"
"""The key under which the task's page, under *Storage*, tells how far it is."""


class BackfillIncomplete(AirflowFailException):
    """Raised when not everything that was asked for is done; the log and the XCom `report` say what and why."""

    def __init__(self, counted: str) -> None:
        super().__init__(
            f"{counted}; the log says which and why. Once that is put right, clear this run or give the same command "
            "again: it goes on with what failed or was missed"
        )


class BackfillOperator(BaseOperator):
    """Bring partitions through the stages of a workload, by runs of their DAGs; deferred while these are at work.

    What is asked for stands in the run's params, as the form of the DAG `backfill` has them.

    :param airflow_conn_id: the connection to Airflow's own REST API.
    """

    ui_color = "#e6e0f0"

    def __init__(self, *, airflow_conn_id: str = AirflowApiHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.airflow_conn_id = airflow_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Check what is asked for; then begin, go on after an interruption, or only say what would be done."""
        from muster.backfill.advance import RunBefore, StagesPaused  # not while DAGs are parsed

        params = context["params"]
        try:
            request, partitions = self._asked(params)
            if params["dry_run"]:
                return self._look(request, partitions)
            advance = self._advance(context, request, partitions)
            advance.check_free()
        except (WorkloadError, WrongArgument, StagesPaused, RunBefore) as error:  # no retry would help
            context["ti"].xcom_push(PROBLEM, str(error))
            raise AirflowFailException(str(error)) from None
        return self._go_on(context, advance, 0, time.time(), [])

    def look_again(self, context: Context, event: Any, number: int, changed: float, last: list[str]) -> dict[str, Any]:
        """Look again how the runs are; `changed` is when any of them last was in another state than before."""
        request, partitions = self._asked(context["params"])
        return self._go_on(context, self._advance(context, request, partitions), number, changed, last)

    def _asked(self, params: Any) -> tuple[Request, list[str]]:
        request = Request.of_form(params)
        workload = find_workload(request.workload, Path(settings().workloads))
        return request, partitions_of(workload, request.first, request.last, many=bool(params["many"]))

    def _advance(self, context: Context, request: Request, partitions: list[str]) -> Advance:
        from muster.backfill.advance import Advance

        run = context["dag_run"]
        backfill = Backfill.of_request(run.run_id, request, run.triggering_user_name or "")
        client = AirflowApiHook(self.airflow_conn_id).client()
        return Advance(client, request, backfill, partitions, run.start_date or datetime.now(UTC))

    def _look(self, request: Request, partitions: list[str]) -> dict[str, Any]:
        from muster.backfill.estimate import as_text, estimate
        from muster.context import Context as WorkloadContext

        of_workload = WorkloadContext.named(request.workload, settings())
        text = as_text(request, partitions, estimate(of_workload, request, partitions))
        self.log.info("Dry run:\n%s", text)
        return {"dry_run": text}

    def _go_on(
        self, context: Context, advance: Advance, number: int, changed: float, last: list[str]
    ) -> dict[str, Any]:
        at = advance.go_on(number, datetime.now(UTC))
        if at is None:
            return self._end(context, advance)
        now = [at.partition, at.stage, at.state]
        if now != last:
            changed = time.time()
            self.log.info("%s: %s %s", *now)
            context["task_state_store"].set(SHOWN_AS, at.shown(len(advance.partitions)))
        self._defer(at, changed, now)

    def _defer(self, at: At, changed: float, now: list[str]) -> NoReturn:
        least, most = PAUSE_BETWEEN
        pause = min(most, max(least, timedelta(seconds=(time.time() - changed) / 5)))
        kwargs = {"number": at.number, "changed": changed, "last": now}
        raise TaskDeferred(trigger=TimeDeltaTrigger(pause), method_name="look_again", kwargs=kwargs)

    def _end(self, context: Context, advance: Advance) -> dict[str, Any]:
        from muster.backfill.report import as_report, as_text, counted, is_complete

        report = as_report(advance.request, advance.ends())
        context["ti"].xcom_push(REPORT, report)
        self.log.info("%s", as_text(report))
        if not is_complete(report):
            raise BackfillIncomplete(counted(report))
        return {"backfill": report["backfill"], **report["counts"]}
