"""What holds for every DAG, over one DagBag of the declared workloads and a few made ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from muster.settings import settings
from muster.workload.stages import STAGE_NAMES
from muster_local import PROJECT

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import PartitionedAssetTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from muster_airflow.deadlines_dag import deadlines_dag
from muster_airflow.operators.announce import AnnounceOperator
from muster_airflow.operators.promote import PromoteOperator
from muster_airflow.timetable import KeyedTimetable, SliceTimetable
from tests.plugins.airflow_task import WORKLOAD, declare

if TYPE_CHECKING:
    from airflow.sdk import DAG

WRONG = {
    "no_such_day": (WORKLOAD.replace("2024-01-01", "2024-13-45"), "schedule.start"),
    "no_such_hour": (WORKLOAD.replace("2024-01-01", '2024-01-01, cron: "0 25 * * *"'), "schedule.cron"),
    "never": (WORKLOAD.replace("2024-01-01", '2024-01-01, cron: "0 6 31 2 *"'), "schedule.cron"),
    "for_ever": (WORKLOAD.replace("2024-01-01", "2024-01-01, end: 9999-12-31"), "schedule.end"),
    "too_wide": (WORKLOAD.replace("2024-01-01", "2024-01-01, every: 4000000"), "schedule.every"),
    "long_tag": (f"{WORKLOAD}tags: [{'x' * 101}]", "tags.0"),
    "no_int": (f"{WORKLOAD}retries: !!int abc", "retries"),
    "large_int": (f"{WORKLOAD}seed: {'5' * 5_000}", "seed"),
    "brackets": (f"{WORKLOAD}tags: {'[' * 3_000}", "(file)"),
}
"""Name -> a YAML that does not hold, by what once hid the DAGs of all workloads; and the path that the error names."""

MANUAL = {"rollback", "backfill", "replay"}
OF_ALL = {*MANUAL, "housekeeping", "deadlines"}
"""DAGs that are started by hand, and those that are about no partition."""
WATCHED = """
deadlines: {predictions_by: "06:00", champion_no_older_than: 60d}
alerts: [{smtp: mail, to: [oncall@example.com]}]
"""
HEAVY = (
    *("pandas", "pyspark", "mlflow", "sklearn", "pyarrow", "deltalake", "numpy"),
    *("slack_sdk", "airflow.providers.http", "airflow.providers.smtp"),
)
PARSE = f"""
import json, sys
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag({str(PROJECT / "dags")!r})
print(json.dumps({{"dags": len(bag.dags), "heavy": [name for name in {HEAVY!r} if name in set(sys.modules) - before]}}))
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagBag]:
    """The DAGs of the declared workloads; of one without a cron; and of none for one whose YAML is wrong."""
    folder = tmp_path_factory.mktemp("workloads")
    for file in settings().workloads.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    declare(folder, "by_hand")
    declare(folder, "asks").write_text(WORKLOAD + "gate: {max_changed: 0.2, approval_hours: 2}\n", encoding="utf-8")
    declare(folder, "watched").write_text(WORKLOAD + WATCHED, encoding="utf-8")
    declare(folder, "monitored").write_text(WORKLOAD + "monitor: {}\n", encoding="utf-8")
    declare(folder, "wrong").write_text(WORKLOAD + "unknown: 1\nretries: many\n", encoding="utf-8")
    for name, (text, _) in WRONG.items():
        declare(folder, name).write_text(text, encoding="utf-8")
    declare(folder, "misnamed").rename(folder / "misnamed.yml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSTER_WORKLOADS", str(folder))
        settings.cache_clear()
        yield DagBag(PROJECT / "dags")
    settings.cache_clear()


@pytest.fixture(scope="module")
def dags(bag: DagBag) -> list[DAG]:
    """The DAGs of the workloads' stages."""
    return [dag for name, dag in bag.dags.items() if name not in OF_ALL and not name.endswith(".retry")]


@pytest.fixture(scope="module")
def every_dag(bag: DagBag) -> list[DAG]:
    """The stages' DAGs, and those that are about no partition."""
    return list(bag.dags.values())


def first_of(dags: list[DAG], workload: str) -> DAG:
    return next(dag for dag in dags if dag.dag_id == f"{workload}.ingest")


def jobs_of(dags: list[DAG]) -> list[Any]:
    """Return the tasks that run a job."""
    return [
        task
        for dag in dags
        for task in dag.tasks
        if dag.dag_id not in ("deadlines", "backfill", "replay") and not isinstance(task, AnnounceOperator)
    ]


def test_every_workload_has_its_dags(bag: DagBag) -> None:
    declared = [file.stem for file in settings().workloads.glob("*.yaml") if file.stem not in {"wrong", *WRONG}]
    stages = {f"{name}.{stage}" for name in declared for stage in (*STAGE_NAMES, "retry")}
    assert set(bag.dags) == stages | {"monitored.monitor"} | OF_ALL


def test_what_is_watched_has_a_dag_that_starts_after_score_and_announces_each_kind_of_alarm(bag: DagBag) -> None:
    dag: Any = bag.dags["monitored.monitor"]
    assert dag.timetable.asset_condition.name == "monitored.predictions"
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks}
    assert outlets == {
        "monitor": ["monitored.monitoring"],
        "degraded": ["monitored.degraded"],
        "drifted": ["monitored.drifted"],
    }
    assert dag.get_task("monitor").downstream_task_ids == {"degraded", "drifted"}
    assert dag.get_task("monitor").mlflow is False


def test_a_wrong_yaml_hides_only_its_own_dags_and_an_import_error_names_every_problem(bag: DagBag) -> None:
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("refused_workloads.py")
    assert "wrong.yaml: unknown: " in error
    assert "wrong.yaml: retries: " in error
    assert "misnamed.yml: (file): is not read by this name" in error
    for name, (_, where) in WRONG.items():
        assert f"{name}.yaml: {where}: " in error
    assert {"flight_delays.ingest", "by_hand.ingest", "rollback"} <= set(bag.dags)


def test_every_dag_names_its_workload_and_stage(dags: list[DAG]) -> None:
    for dag in dags:
        workload, stage = dag.dag_id.split(".")
        assert {"muster", workload, stage} <= set(dag.tags)


def test_every_task_has_its_workloads_owner_and_retries(every_dag: list[DAG]) -> None:
    for dag in every_dag:
        for task in dag.tasks:
            assert task.owner
            assert task.owner != "airflow"
            assert task.retries is not None
            assert timedelta(seconds=10) <= task.retry_delay <= timedelta(minutes=10)


def test_every_dag_of_a_stage_explains_its_partition_key(dags: list[DAG]) -> None:
    for dag in dags:
        assert "Partition key" in (dag.doc_md or "")


def test_every_dag_says_what_it_does_and_every_task_what_to_do_when_it_fails(every_dag: list[DAG]) -> None:
    for dag in every_dag:
        assert dag.doc_md
        assert dag.description
        for task in dag.tasks:
            assert "When it fails" in (task.doc_md or "")


def test_a_manual_dag_has_no_schedule_and_a_form(bag: DagBag) -> None:
    for dag in (bag.dags[name] for name in MANUAL):
        assert dag.timetable.can_be_scheduled is False
        assert {"muster", dag.dag_id} <= set(dag.tags)
        assert set(dag.params)


def test_the_rollbacks_form_offers_the_sound_workloads_and_looks_only_unless_told(bag: DagBag) -> None:
    form: Any = bag.dags["rollback"].params
    assert {"flight_delays", "by_hand"} <= set(form.get_param("workload").schema["enum"])
    assert "wrong" not in form.get_param("workload").schema["enum"]
    assert form["dry_run"] is True
    with pytest.raises(ParamValidationError):
        form.get_param("why").resolve("")


def test_the_backfills_form_refuses_what_is_none_and_looks_only_unless_told(bag: DagBag) -> None:
    form: Any = bag.dags["backfill"].params
    assert {"flight_delays", "by_hand"} <= set(form.get_param("workload").schema["enum"])
    assert (form["dry_run"], form["promote"], form["champion"], form["stages"]) == (True, False, "as-of", [])
    wrong: dict[str, Any] = {"from": "6.5.2013", "stages": ["publish"], "champion": "yesterday", "workload": "wrong"}
    for name, value in wrong.items():
        with pytest.raises(ParamValidationError):
            form.get_param(name).resolve(value)


def test_backfills_of_several_workloads_go_on_at_once(bag: DagBag) -> None:
    dag: Any = bag.dags["backfill"]
    assert (dag.max_active_runs > 1, dag.is_paused_upon_creation, len(dag.tasks)) == (True, False, 1)


def test_the_form_of_replay_offers_the_sound_workloads_and_looks_only_unless_told(bag: DagBag) -> None:
    form: Any = bag.dags["replay"].params
    assert {"flight_delays", "by_hand"} <= set(form.get_param("workload").schema["enum"])
    assert (form["dry_run"], form.get_param("stage").schema["enum"]) == (True, list(STAGE_NAMES))
    with pytest.raises(ParamValidationError):
        form.get_param("first").resolve("5 May")
    assert [asset for task in bag.dags["replay"].tasks for asset in task.outlets] == []  # each would get an event


def test_housekeeping_sweeps_each_sound_workload_weekly_once_somebody_unpauses_it(bag: DagBag) -> None:
    dag: Any = bag.dags["housekeeping"]
    assert (dag.is_paused_upon_creation, dag.max_active_tasks, dag.timetable.can_be_scheduled) == (True, 1, True)
    assert {"flight_delays", "by_hand"} <= set(dag.task_ids)
    assert "wrong" not in dag.task_ids
    assert all(not task.spark and task.mlflow and not task.partitioned for task in dag.tasks)
    assert (dag.params["workload"], dag.params["dry_run"]) == (None, False)
    assert {None, "by_hand"} <= set(dag.params.get_param("workload").schema["enum"])


def test_deadlines_are_looked_at_every_five_minutes_from_the_start_where_any_are_declared(bag: DagBag) -> None:
    dag: Any = bag.dags["deadlines"]
    assert (dag.is_paused_upon_creation, dag.max_active_runs, dag.catchup) == (False, 1, False)
    assert dag.schedule == "*/5 * * * *"
    assert dag.task_ids == ["watched"]
    (task,) = dag.tasks
    assert (task.owner, task.retries, task.upstream_task_ids) == ("muster", 0, set())
    assert task.priority_weight > max(
        other.priority_weight for one in bag.dags.values() for other in one.tasks[:1] if one is not dag
    )
    assert (
        "- **watched**: `predictions_by: 06:00` UTC, `champion_no_older_than: 60d`; tells smtp by `mail`" in dag.doc_md
    )
    assert "oncall@example.com" not in dag.doc_md


def test_without_any_deadline_there_is_no_such_dag(tmp_path: Path) -> None:
    declare(tmp_path, "by_hand")
    assert deadlines_dag(tmp_path) is None


def test_a_workload_whose_yaml_is_refused_is_watched_where_its_dates_can_be_read(tmp_path: Path) -> None:
    declare(tmp_path, "refused").write_text(f"{WORKLOAD}{WATCHED}retries: many\n", encoding="utf-8")
    no_dates = WORKLOAD.replace("start: 2024-01-01", "start: someday")
    declare(tmp_path, "no_dates").write_text(no_dates + WATCHED, encoding="utf-8")
    declare(tmp_path, "no_yaml").write_text("keys: [", encoding="utf-8")
    dag: Any = deadlines_dag(tmp_path)
    assert dag.task_ids == ["refused"]
    assert "- **refused**: its YAML is refused" in dag.doc_md


def test_no_two_runs_of_a_dag_at_once_and_only_what_has_a_cron_catches_up(every_dag: list[DAG]) -> None:
    assert {dag.max_active_runs for dag in every_dag if dag.dag_id != "backfill"} == {1}
    assert {dag.dag_id for dag in every_dag if dag.catchup} == {
        f"{name}.ingest" for name in ("flight_delays", "flight_minutes", "fx_spread")
    }


def test_every_dag_is_keyed_by_partition(dags: list[DAG]) -> None:
    keyed = (SliceTimetable, PartitionedAssetTimetable, KeyedTimetable)
    assert [dag.dag_id for dag in dags if not isinstance(dag.timetable, keyed)] == []


def test_each_stage_consumes_the_one_asset_of_the_stage_before(bag: DagBag) -> None:
    line: list[Any] = [bag.dags[f"by_hand.{stage}"] for stage in STAGE_NAMES]
    outlets = [[asset.name for asset in dag.tasks[0].outlets] for dag in line]
    consumed = [[dag.timetable.asset_condition.name] for dag in line[1:]]
    assert consumed == outlets[:-1]
    assert [len(names) for names in outlets] == [1] * len(STAGE_NAMES)


def test_with_a_cron_a_partition_is_due_by_it(dags: list[DAG]) -> None:
    assert isinstance(first_of(dags, "flight_delays").timetable, SliceTimetable)  # which: test_due.py


def test_without_a_cron_a_partition_is_started_by_hand(dags: list[DAG]) -> None:
    assert first_of(dags, "by_hand").timetable.can_be_scheduled is False
    assert isinstance(first_of(dags, "by_hand").timetable, KeyedTimetable)


def test_airflows_form_asks_every_stage_for_its_partition_key(dags: list[DAG]) -> None:
    """The form has a field for it where the stored timetable is `partitioned`: the page reads nothing else."""
    stored: dict[str, Any] = {dag.dag_id: DagSerialization.from_dict(DagSerialization.to_dict(dag)) for dag in dags}
    assert [name for name, dag in stored.items() if not dag.timetable.partitioned] == []
    for name in ("flight_delays.ingest", "by_hand.ingest"):
        assert stored[name].timetable.resolve_partition_date("2024-02-06").date() == date(2024, 2, 6)


@pytest.mark.parametrize("key", ["6.2.2024", "2024-02-6", "20240206"])
def test_a_key_that_is_written_otherwise_is_refused_by_the_form(dags: list[DAG], key: str) -> None:
    timetable: Any = first_of(dags, "by_hand").timetable
    with pytest.raises(ValueError, match=f"'{key}' is no date; write the first day of a slice as 2024-02-06"):
        timetable.resolve_partition_date(key)


def test_only_promote_needs_no_spark_and_only_promote_guards_against_backfills(dags: list[DAG]) -> None:
    tasks = jobs_of(dags)
    assert {task.stage for task in tasks if not task.spark} == {"promote", "review"}
    assert {task.stage for task in tasks if isinstance(task, PromoteOperator)} == {"promote"}
    assert {dag.dag_id.split(".")[1] for dag in dags if "allow_backfill" in dag.params} == {"promote"}


def test_promote_has_spark_only_where_each_group_has_a_registered_model(bag: DagBag) -> None:
    promotes: dict[str, Any] = {name: bag.dags[f"{name}.promote"].get_task("promote") for name in ("fx_spread", "asks")}
    assert {name: task.spark for name, task in promotes.items()} == {"fx_spread": True, "asks": False}


def test_a_human_is_asked_only_where_the_workload_says_so(bag: DagBag) -> None:
    asking = {name for name, dag in bag.dags.items() if any(task.task_id == "approve" for task in dag.tasks)}
    assert asking == {"asks.promote", "asks.retry"}
    approve: Any = bag.dags["asks.promote"].get_task("approve")
    assert approve.response_timeout == timedelta(hours=2)
    assert approve.downstream_task_ids == {"promote"}
    assert approve.defaults == ["Reject"]


def test_a_retry_takes_just_its_run_through_the_stages_and_updates_no_asset_that_starts_one(bag: DagBag) -> None:
    dag: Any = bag.dags["by_hand.retry"]
    tasks = dag.topological_sort()
    assert [task.task_id for task in tasks] == ["find_due", "features", "train", "evaluate", "promote", "score"]
    assert [task.downstream_task_ids for task in tasks[:-1]] == [{task.task_id} for task in tasks[1:]]
    assert {task.task_id for task in tasks if "run" in (task.job_options or {})} == {"evaluate", "promote", "score"}
    consumed = {name for other in bag.dags.values() for name in consumed_by(other)}
    assert {asset.name for task in tasks for asset in task.outlets} == {"by_hand.predictions"}
    assert "by_hand.predictions" not in consumed


def consumed_by(dag: Any) -> list[str]:
    condition = getattr(dag.timetable, "asset_condition", None)
    return [condition.name] if hasattr(condition, "name") else []


def test_a_retry_asks_a_human_where_promote_does_and_about_its_own_verdicts(bag: DagBag) -> None:
    dag: Any = bag.dags["asks.retry"]
    approve = dag.get_task("approve")
    assert (approve.upstream_task_ids, approve.downstream_task_ids) == ({"evaluate"}, {"promote"})
    assert approve.job_options == dag.get_task("promote").job_options
    assert dag.get_task("promote").approved_by is not None


def test_a_retrys_form_has_the_partitions_key_and_takes_no_group_for_all(bag: DagBag) -> None:
    dag: Any = bag.dags["by_hand.retry"]
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable.partitioned is True
    assert stored.timetable.can_be_scheduled is False
    assert dag.is_paused_upon_creation is False
    assert "Partition key" in dag.doc_md
    option = dag.get_task("train").job_options["retry"]
    render = dag.get_template_env().from_string(option).render
    assert (render(params={"groups": []}), render(params={"groups": ['a "b"']})) == ("failed", json.dumps(['a "b"']))


def test_every_job_that_a_dag_names_is_there(every_dag: list[DAG]) -> None:
    tasks = jobs_of(every_dag)
    assert [task.stage for task in tasks if not (PROJECT / "jobs" / "muster_jobs" / f"{task.stage}.py").is_file()] == []


def test_only_stages_that_use_mlflow_are_told_where_it_is(dags: list[DAG]) -> None:
    tasks = jobs_of(dags)
    assert {task.stage for task in tasks if not task.mlflow} == {"ingest", "features", "monitor"}


def test_every_dag_can_be_stored_and_is_the_same_when_parsed_again(bag: DagBag) -> None:
    again = DagBag(PROJECT / "dags").dags
    for name, dag in bag.dags.items():
        assert json.dumps(DagSerialization.to_dict(dag), default=str) == json.dumps(
            DagSerialization.to_dict(again[name]), default=str
        )


@pytest.mark.slow
def test_parsing_imports_nothing_heavy() -> None:
    """In a process of its own: this one has imported everything."""
    completed = subprocess.run(
        [sys.executable, "-c", PARSE], capture_output=True, text=True, check=True, env=os.environ
    )
    report = json.loads(completed.stdout.splitlines()[-1])
    assert report["dags"] >= len(STAGE_NAMES)
    assert report["heavy"] == []
