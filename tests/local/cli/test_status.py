"""`./muster status` on a narrow terminal: what an operator must know of each workload."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from muster.champions.errors import AliasGone, AliasMoved, JournalGone
from muster.workload.stages import STAGE_NAMES
from muster_local.aliases import AliasState
from muster_local.cli.status import as_dict, now, remarks, show_workloads, status
from muster_local.open_runs import AirflowState, OpenRun
from muster_local.progress import Progress
from muster_local.waiting import Waiting

DAY = "2024-02-05"
AT = datetime(2024, 2, 6, 4, 30, tzinfo=UTC)
UP = "http://127.0.0.1:8080"
AGREED = AliasState()
DOWN = AirflowState("Airflow is not running: below is only what the store and the results know")


def workload(name: str, **known: Any) -> Progress:
    defaults: dict[str, Any] = {"partitions": dict.fromkeys(STAGE_NAMES, DAY), "waiting": [], "champion": "12"}
    defaults |= {"left_out": [], "out_of_date": None}
    return Progress(name, f"{name}.yaml", **{**defaults, **known})


def run(stage: str, state: str, **known: Any) -> OpenRun:
    page = "required_actions" if state == "awaiting_input" else f"dags/w.{stage}"
    return OpenRun(stage, DAY, state, AT, f"{UP}/{page}", **known)


def shown(
    capsys: pytest.CaptureFixture[str], workloads: list[Progress], airflow: AirflowState, aliases: AliasState = AGREED
) -> list[str]:
    show_workloads(workloads, airflow, aliases)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


JUDGED_AGAIN = [Waiting("parcels_north", DAY, "evaluate", "promote", again=True)]
NIGHT = [
    workload("flight_delays"),
    workload("fx_spread", partitions={}, champion=None),
    workload("parcels_north", waiting=JUDGED_AGAIN),
    workload("energy_demand", champion="233 groups' own"),
    workload("tram_delays"),
    workload("stock_levels", refused="stock_levels.yaml: gate.win_rate: is 1.5, at most 1 (and 2 more)"),
]
RUNS = {
    "fx_spread": [run("ingest", "failed")],
    "parcels_north": [run("promote", "awaiting_input"), run("features", "running")],
    "energy_demand": [run("score", "deferred", until="2024-02-06T05:00:00+00:00", why="throttled by the server")],
    "tram_delays": [run("train", "running")],
    "stock_levels": [run("features", "up_for_reschedule")],
}


def test_six_workloads_are_a_row_each_at_80_columns_and_say_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    printed = shown(capsys, NIGHT, AirflowState(runs=RUNS))
    assert max(map(len, printed)) <= 80
    assert [" ".join(line.split()) for line in printed[2:8]] == [
        f"flight_delays version 12 {DAY} idle",
        "fx_spread - - ingest failed",
        f"parcels_north version 12 {DAY} (old) promote waits for an answer",
        f"energy_demand 233 groups' own {DAY} score is deferred",
        f"tram_delays version 12 {DAY} train is running",
        f"stock_levels version 12 {DAY} YAML refused",
    ]
    told = " ".join(" ".join(printed[8:]).split())
    for line in (
        f"fx_spread: ingest of {DAY} failed, since 2024-02-06 04:30 UTC; see {UP}/dags/w.ingest",
        f"parcels_north: promote of {DAY} waits for an answer, since 2024-02-06 04:30 UTC; see {UP}/required_actions",
        f"score of {DAY} is deferred until 2024-02-06T05:00:00+00:00: throttled by the server, since",
        "stock_levels: its YAML is refused, so nothing of it runs; stock_levels.yaml: gate.win_rate: is 1.5",
        "all problems: ./muster try stock_levels --group ANY",
    ):
        assert line in told
    assert "evaluate again" not in told, "the run that waits for an answer says so already"


def test_without_airflow_it_says_so_and_what_the_store_knows(capsys: pytest.CaptureFixture[str]) -> None:
    printed = shown(capsys, NIGHT, DOWN)
    rows = [" ".join(line.split()) for line in printed[2:8]]
    assert rows[0] == f"flight_delays version 12 {DAY} not known"
    assert rows[2] == f"parcels_north version 12 {DAY} (old) promote not started"
    told = " ".join(" ".join(printed[8:]).split())
    assert told.startswith("Airflow is not running")
    assert f"parcels_north: {DAY} has ended evaluate again after promote, whose result is of before" in told


def test_many_lines_of_a_kind_are_bounded_and_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = [Waiting("w", f"2024-02-{day:02}", "ingest", "features", again=False) for day in range(1, 29)]
    airflow = AirflowState(runs={"w": [run("score", "failed")] * 9}, import_errors=["\x1b[2J.py: broken"])
    printed = "\n".join(shown(capsys, [workload("w", waiting=waiting)], airflow))
    assert "and 6 more runs" in printed
    assert "and 25 more partitions" in printed
    assert "\x1b" not in printed


def test_what_a_workloads_row_does_not_hold_is_a_line_each() -> None:
    item = workload("w", left_out=["2024-01-15"], out_of_date="2: other keys", unreadable="OSError: gone")
    assert remarks(item, AirflowState(), AGREED) == [
        "what it left in the store cannot be read: OSError: gone",
        "never ingested: 2024-01-15",
        "slices out of date: 2: other keys",
    ]
    assert (now(item, AirflowState(), AGREED), remarks(workload("w"), AirflowState(), AGREED)) == ("not readable", [])


def test_old_predictions_are_a_line_for_each_reason_with_the_runs_to_clear() -> None:
    features, groups = "features were built of other rows since", "2 groups would be answered by another champion now"
    old = {"2024-01-15": (features,), "2024-01-22": (features,), DAY: (groups, features)}
    item = workload("w", predictions_old=old)
    assert remarks(item, AirflowState(), AGREED) == [
        f"predictions of {DAY} are old: {groups} and {features}; clear its run of w.score",
        f"predictions of 2024-01-22, 2024-01-15 are old: {features}; clear their runs of w.score",
    ]
    assert item.old
    assert not workload("w", predictions_old={"2024-01-15": (features,)}).old


LATE = f"predictions of {DAY} are late since 2024-02-13 06:00 UTC, by predictions_by: 06:00; last done: train"


def test_a_deadline_that_is_missed_is_told_and_that_nobody_is_told_of_it_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    late = workload("w", late=(LATE,), not_told=("webhook pager could not be told",), watched=True)
    assert now(late, AirflowState(), AGREED) == "past a deadline"
    assert {LATE, "webhook pager could not be told"} <= set(remarks(late, AirflowState(), AGREED))
    told = " ".join(" ".join(shown(capsys, [late], AirflowState(paused={"deadlines"}))).split())
    assert "the DAG deadlines is paused: nobody is told of a deadline that is missed; unpause it" in told
    for of, airflow in ((late, AirflowState()), (workload("w"), AirflowState(paused={"deadlines"}))):
        assert "the DAG deadlines" not in "".join(shown(capsys, [of], airflow))


def test_what_airflow_has_refused_is_told_though_the_file_holds_here() -> None:
    airflow = AirflowState(refused={"w.yaml": "w.yaml: (file): its DAGs cannot be built: ValueError: no"})
    assert now(workload("w"), airflow, AGREED) == "YAML refused"
    assert "its DAGs cannot be built" in remarks(workload("w"), airflow, AGREED)[0]


GONE = AliasGone("parcels_north", "parcels_north", None, "12")
MOVED = AliasMoved.since_journalled("energy_demand", "energy_demand_DE", "DE", "3", "2", made=True)


def test_a_champion_that_is_no_more_is_more_urgent_than_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    aliases = AliasState(wrong={"parcels_north": [GONE], "energy_demand": [MOVED]})
    printed = shown(capsys, NIGHT, AirflowState(runs=RUNS), aliases)
    rows = [" ".join(line.split()) for line in printed[2:8]]
    assert rows[2] == f"parcels_north version 12 {DAY} (old) Champion is gone"
    assert rows[3] == f"energy_demand 233 groups' own {DAY} Champion was moved"
    told = " ".join(" ".join(printed[8:]).split())
    assert "no version of the registered model 'parcels_north' is Champion any more" in told
    assert (
        "the alias Champion of 'energy_demand_DE' is at version 2, the journal says version 3 (it was moved, but not "
        "by Muster, or this journal is an older copy); "
        "`./muster rollback energy_demand --group 'DE' --to 3` puts it back"
    ) in told
    assert as_dict(NIGHT[2], AirflowState(), aliases)["alias"] == [str(GONE)]
    down = AliasState("MLflow is not running: the champions are those of the journal")
    assert down.problem in shown(capsys, NIGHT, AirflowState(), down)


def test_a_lost_journal_is_not_shown_as_no_champion_and_mlflow_is_asked_only_where_there_may_be_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workloads, asked = [workload("w", champion=None), workload("new", champion=None, partitions={"train": DAY})], []
    lost = JournalGone.shown("w", "w", "2")

    def state(_: Any, names: list[str]) -> AliasState:
        asked.extend(names)
        return AliasState(wrong={"w": [lost]})

    for place, made in {
        "local.status": lambda _: [],
        "progress.progress": lambda _: workloads,
        "open_runs.airflow_state": lambda *_: AirflowState(),
        "aliases.alias_state": state,
    }.items():
        monkeypatch.setattr(f"muster_local.{place}", made)
    status(json=False)
    told = " ".join(capsys.readouterr().out.split())
    assert asked == ["w"]
    assert f"w - {DAY} Champion is not journalled" in told
    assert f"w: {lost}" in told


def test_a_run_without_a_partition_is_named_once_and_hides_nothing() -> None:
    keyless = OpenRun("ingest", None, "failed", AT, f"{UP}/dags/w.ingest")
    airflow = AirflowState(runs={"w": [keyless]})
    assert now(workload("w"), airflow, AGREED) == "idle"
    [line] = remarks(workload("w"), airflow, AGREED)
    assert line.startswith(
        "ingest has a run without a partition key, which is of no partition: delete it in Airflow; see"
    )


def test_what_arrives_is_said_to_wait_while_its_dag_is_paused() -> None:
    (line,) = remarks(workload("w"), AirflowState(paused={"w.watch", "other.watch"}), AGREED)
    assert line.startswith("w.watch is paused: nothing that arrives is ingested")


def test_a_stage_that_is_paused_is_said_to_be_and_one_that_begins_by_itself_is_not_to_be_triggered() -> None:
    item = workload("w", waiting=[Waiting("w", DAY, "ingest", "features", again=False, ended_at=time.time())])
    assert now(item, AirflowState(), AGREED) == "features is about to begin"
    ended = f"{DAY} has ended ingest and not features"
    assert remarks(item, AirflowState(), AGREED) == [f"{ended}: features is about to begin"]
    paused = AirflowState(paused={"w.features"})
    assert now(item, paused, AGREED) == "features is paused"
    assert remarks(item, paused, AGREED) == [
        f"{ended}: w.features is paused: unpause it, then trigger it with the partition key {DAY}"
    ]
    ending = AirflowState(runs={"w": [run("ingest", "running")]})
    assert remarks(workload("w", waiting=[Waiting("w", DAY, "ingest", "features", again=False)]), ending, AGREED) == [
        f"ingest of {DAY} is running, since 2024-02-06 04:30 UTC; see {UP}/dags/w.ingest"
    ]


def test_programs_read_the_same() -> None:
    told = as_dict(NIGHT[2], AirflowState(runs=RUNS), AGREED)
    assert [(row["stage"], row["state"]) for row in told["runs"]] == [
        ("promote", "awaiting_input"),
        ("features", "running"),
    ]
    assert (told["judged_since"], told["waiting"], told["partitions"]["score"]) == (True, [], DAY)
