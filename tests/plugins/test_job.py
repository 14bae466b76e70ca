"""The operator: what goes into a job, what comes back, and what an operator reads when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from muster_airflow.exceptions import InputRefused, JobFailed, NoPartition, WrongPartition
from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.operators.job import JobOperator
from tests.plugins.airflow_task import PARTITION, context_of, run_of

JOB = """
import json, os, pathlib, sys
COUNTS = {"trained": 289, "skipped": 64}
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
result = pathlib.Path(arguments["--result"])
result.parent.mkdir(parents=True, exist_ok=True)
result.write_text(json.dumps({"arguments": arguments, "environment": dict(os.environ), "to_version": "7", **COUNTS}))
"""
OUT = Asset("made.models", uri="muster://made/models")


@pytest.fixture
def operator(tmp_path: Path, home: Path, workload: Path):  # type: ignore[no-untyped-def]
    """Return a maker of operators whose job is the given script."""

    def make(script: str, **more: Any) -> JobOperator:
        (tmp_path / "job.py").write_text(script, encoding="utf-8")
        own = {"job": str(tmp_path / "job.py"), "workload": str(workload), "spark": False, "mlflow": False}
        return JobOperator(**{"task_id": "train", "stage": "train", "outlets": [OUT], **own, **more})

    return make


def test_the_job_gets_the_workload_the_partition_and_an_attempt_of_its_own(operator: Any, workload: Path) -> None:
    arguments = operator(JOB).execute(context_of(run_id="manual__2024-02-05T10:00:00+00:00"))["arguments"]
    assert arguments["--workload"] == str(workload)
    assert arguments["--partition"] == PARTITION
    assert arguments["--attempt"] == "manual__2024-02-05T10-00-00-00-00.1"
    assert Path(arguments["--result"]).name == f"{PARTITION}-{arguments['--attempt']}.json"


def test_the_attempt_names_the_person_who_started_the_run(operator: Any) -> None:
    context = context_of(dag_run=run_of(user="ann"))
    assert operator(JOB).execute(context)["arguments"]["--attempt"] == "ann.manual__1.1"


def test_a_job_that_had_nothing_to_do_skips_the_task_with_its_reason(
    operator: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script = JOB.replace('"to_version": "7"', '"skipped_because": "there is no champion yet"')
    context = context_of()
    with pytest.raises(AirflowSkipException, match="there is no champion yet"):
        operator(script).execute(context)
    assert "[warning  ] there is no champion yet" in capsys.readouterr().out
    assert not context["outlet_events"]


def test_the_result_goes_to_the_asset_event(operator: Any) -> None:
    context = context_of()
    operator(JOB).execute(context)
    assert context["outlet_events"][OUT].extra["to_version"] == "7"
    assert context["outlet_events"][OUT].extra["backfill"] is False


def test_the_days_of_a_correction_are_on_the_event_that_follows_from_it(operator: Any) -> None:
    without = context_of()
    operator(JOB).execute(without)
    assert "correction" not in without["outlet_events"][OUT].extra
    event = SimpleNamespace(extra={"correction": ["2024-02-05"]}, source_run_id="asset_triggered__1")
    context = context_of(triggering_asset_events={"before": [event]})
    operator(JOB).execute(context)
    assert context["outlet_events"][OUT].extra["correction"] == ["2024-02-05"]


@pytest.mark.parametrize("key", ["2024-2-5", "20240205", "2024-02-06", "2023-12-25", "any day"])
def test_a_key_that_is_no_partition_is_refused_before_anything_is_done(operator: Any, key: str) -> None:
    with pytest.raises(WrongPartition, match=f"'{key}' is no partition of made.*every 7 days from 2024-01-01"):
        operator("raise SystemExit('it ran')").execute(context_of(key))
    assert issubclass(WrongPartition, AirflowFailException)


def test_a_key_is_the_jobs_to_judge_while_the_yaml_does_not_hold(operator: Any, workload: Path) -> None:
    task = operator("raise SystemExit('it ran')")
    workload.write_text("keys: [", encoding="utf-8")
    with pytest.raises(JobFailed):
        task.execute(context_of("any day"))


def test_airflows_connections_and_another_spark_do_not_reach_the_job(
    operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "secret")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret")
    monkeypatch.setenv("SPARK_REMOTE", "sc://elsewhere")
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    environment = operator(JOB).execute(context_of())["environment"]
    assert "secret" not in environment.values()
    assert not {"SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"} & set(environment)


def test_a_run_without_a_partition_is_refused_and_not_retried(operator: Any) -> None:
    with pytest.raises(NoPartition, match=r"has no partition key; .* the first day of a slice: 2024-01-01"):
        operator(JOB).execute(context_of(partition=None))
    assert issubclass(NoPartition, AirflowFailException)


def test_a_failed_jobs_own_error_line_is_the_message(operator: Any) -> None:
    script = "import sys; print('reading'); sys.exit(\"error: file 'x.csv.gz' is empty; have it delivered again\")"
    with pytest.raises(JobFailed) as failed:
        operator(script).execute(context_of())
    assert str(failed.value) == "file 'x.csv.gz' is empty; have it delivered again"
    assert isinstance(failed.value, AirflowException)


def test_bad_input_is_not_tried_again(operator: Any) -> None:
    script = "import os, sys; print('error: the file is empty', file=sys.stderr); sys.exit(os.EX_DATAERR)"
    with pytest.raises(InputRefused, match=r"^the file is empty$") as refused:
        operator(script).execute(context_of())
    assert isinstance(refused.value, AirflowFailException)


def test_a_task_may_name_its_own_partition_and_options(operator: Any) -> None:
    task = operator(JOB, partition="2024-02-12", job_options={"dry_run": "yes", "approved_by": ""})
    arguments = task.execute(context_of(partition=None))["arguments"]
    assert (arguments["--partition"], arguments["--option"]) == ("2024-02-12", "dry_run=yes")


def test_a_job_that_breaks_is_told_by_its_last_line(operator: Any) -> None:
    with pytest.raises(JobFailed, match="the train job ended with code 1: ZeroDivisionError: division by zero"):
        operator("1 / 0").execute(context_of())


def test_a_killed_job_is_told_by_its_signal(operator: Any) -> None:
    script = "import os, signal; print('working', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(JobFailed, match="was killed by signal 9: working"):
        operator(script).execute(context_of())


def test_a_job_that_leaves_no_result_fails(operator: Any) -> None:
    with pytest.raises(JobFailed, match="wrote no result"):
        operator("").execute(context_of())


def test_links_lead_to_what_the_job_made(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", '{"conn_type": "mlflow", "host": "https://mlflow.example"}')
    task = operator(JOB, mlflow=True)
    task.execute(context_of())
    task.result = {"mlflow_run_id": "abc", "to_version": "7"}
    links = [link.get_link(task, ti_key=None) for link in (MlflowRunLink(), ModelVersionLink())]  # type: ignore[arg-type]
    assert links == ["https://mlflow.example/#/runs/abc", "https://mlflow.example/#/models/made/versions/7"]


def test_a_stage_without_a_run_or_version_has_no_links(operator: Any) -> None:
    links = (MlflowRunLink(), ModelVersionLink())
    assert [link.get_link(operator(""), ti_key=None) for link in links] == ["", ""]  # type: ignore[arg-type]


def test_sparks_page_is_linked_before_the_job_ends(
    tmp_path: Path, home: Path, workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"conn_type": "spark_connect", "host": "sc://spark:1", "extra": {"ui": "http://spark:4040/connect/"}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_CONNECT", json.dumps(value))
    (tmp_path / "job.py").write_text("raise SystemExit(1)", encoding="utf-8")
    job = str(tmp_path / "job.py")
    task = JobOperator(task_id="train", stage="train", job=job, workload=str(workload), mlflow=False)
    context = context_of()
    with pytest.raises(JobFailed):
        task.execute(context)  # type: ignore[arg-type]
    assert context["ti"].pushed == {SparkLink().xcom_key: "http://spark:4040/connect/"}


def test_how_far_a_job_is_stands_on_the_tasks_page_while_it_runs(operator: Any) -> None:
    context = context_of()
    shown: list[Any] = []
    store = context["task_state_store"]
    store.set = lambda key, value: (shown.append((key, value["done"])), store.update({key: value}))
    line = "print('progress: about 5 of 10 groups, 9 s left', file=sys.stderr)"
    operator(JOB + line).execute(context)
    assert shown == [("progress", "about 5 of 10 groups, 9 s left")]
    assert "progress" not in store
