"""The approval: asked for only where it is needed, of what exactly, and what its answer lets happen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped, TaskAwaitingInput

from muster_airflow.backfill import BackfillRefused
from muster_airflow.operators.approve import APPROVED_BY, APPROVED_VERDICTS, REVIEWED, ApproveOperator
from muster_airflow.operators.promote import PromoteOperator
from tests.plugins.airflow_task import Task, context_of

CONNECTION = '{"conn_type": "mlflow", "host": "https://mlflow.example"}'
JOB = """
import json, pathlib, sys
result = pathlib.Path(sys.argv[sys.argv.index("--result") + 1])
result.parent.mkdir(parents=True, exist_ok=True)
options = [value for name, value in zip(sys.argv, sys.argv[1:]) if name == "--option"]
result.write_text(json.dumps({result!r} | {{"options": options}}))
"""
PLOTS = {"mlflow_run_id": "r1", "plots": {"before and after": "review/before-and-after.png"}}
REVIEW = {"why": "31 % of the groups would change", "verdicts": "d1gest", "markdown": "## 31 % {{ not.a.template }}"}
NEEDED, FREE = {**REVIEW, **PLOTS, "needs_approval": True}, {**REVIEW, "needs_approval": False}


class TaskInstance(Task):
    """A task instance that can read what it pushed."""

    id = "ti"

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.pushed.get(key)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be written for the person who is asked: there is no API server here."""
    details: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **detail: details.append(detail))
    return details


@pytest.fixture
def approve(tmp_path: Path, home: Path, workload: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return a maker of approvals whose review has the given result; `promote` follows."""
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", CONNECTION)

    def make(result: dict[str, Any]) -> ApproveOperator:
        (tmp_path / "review.py").write_text(JOB.format(result=result), encoding="utf-8")
        with DAG("made.promote", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC)):
            task = ApproveOperator(task_id="approve", workload=str(workload), job=str(tmp_path / "review.py"))
            by, what = task.output[APPROVED_BY], task.output[APPROVED_VERDICTS]
            PromoteOperator(task_id="promote", workload=str(workload), approved_by=by, approved_verdicts=what)
        return task

    return make


def answer(chosen: str, who: str | None) -> dict[str, Any]:
    """Return the event by which Airflow brings the answer, or the default when nobody gave one."""
    user = {"id": "1", "name": who} if who else None
    return {
        "chosen_options": [chosen],
        "params_input": {},
        "responded_by_user": user,
        "responded_at": datetime.now(UTC),
    }


def test_nobody_is_asked_where_no_approval_is_needed(approve: Any, questions: list[Any]) -> None:
    context = context_of(ti=TaskInstance())
    result = approve(FREE).execute(context)
    assert (result["needs_approval"], result["options"]) == (False, ["dag_run=manual__1"])
    assert questions == []
    assert (context["ti"].pushed[APPROVED_BY], context["ti"].pushed[APPROVED_VERDICTS]) == ("", "")


def test_a_human_is_shown_the_review_as_it_is_and_the_task_waits(approve: Any, questions: list[Any]) -> None:
    context = context_of(ti=TaskInstance(), task_instance=TaskInstance())
    with pytest.raises(TaskAwaitingInput) as waiting:
        approve(NEEDED).execute(context)
    assert waiting.value.timeout.total_seconds() == 24 * 3600
    (one,) = questions
    assert one["body"].startswith(REVIEW["markdown"])
    image = "https://mlflow.example/get-artifact?path=review%2Fbefore-and-after.png&run_uuid=r1"
    assert f"![before and after]({image})" in one["body"]
    assert (one["defaults"], one["options"]) == (["Reject"], ["Approve", "Reject"])


def test_an_approval_goes_on_with_its_giver_and_exactly_what_was_shown(approve: Any) -> None:
    ti = TaskInstance(pushed={REVIEWED: "d1gest"})
    approve(NEEDED).execute_complete(context_of(ti=ti), answer("Approve", "ann"))
    assert (ti.pushed[APPROVED_BY], ti.pushed[APPROVED_VERDICTS]) == ("ann", "d1gest")


@pytest.mark.parametrize(("who", "reason"), [("bob", "rejected by 'bob'"), (None, "nobody answered within 24 h")])
def test_after_anything_else_promote_is_skipped_and_the_log_says_why(
    approve: Any, capsys: pytest.CaptureFixture[str], who: str | None, reason: str
) -> None:
    task, ti = approve(NEEDED), TaskInstance(pushed={REVIEWED: "d1gest"})
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute_complete(context_of(ti=ti, task=task), answer("Reject", who))
    assert list(skipped.value.tasks) == ["promote"]
    assert f"Not promoted: {reason}. The champion stays." in capsys.readouterr().out
    assert APPROVED_BY not in ti.pushed


def test_what_a_backfill_caused_asks_nobody(approve: Any, questions: list[Any]) -> None:
    with pytest.raises(BackfillRefused):
        approve(NEEDED).execute(context_of(run_id="backfill__1", ti=TaskInstance()))
    assert questions == []


@pytest.mark.parametrize(
    ("approval", "options"),
    [(("ann", "d1gest"), ["approved_by=ann", "approved_verdicts=d1gest"]), ((None, None), []), (("", ""), [])],
)
def test_promote_hands_an_approval_to_its_job(
    tmp_path: Path, home: Path, workload: Path, monkeypatch: pytest.MonkeyPatch, approval: Any, options: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", CONNECTION)
    job = tmp_path / "promote.py"
    job.write_text(JOB.format(result={"moved": True}), encoding="utf-8")
    by, what = approval
    task = PromoteOperator(
        task_id="promote", workload=str(workload), job=str(job), approved_by=by, approved_verdicts=what
    )
    assert task.execute(context_of())["options"] == options  # type: ignore[arg-type]
