"""Where a workload stands and what a partition came to, from what jobs leave behind."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from rich.console import Console

from muster.champions.journal import Journal, Move
from muster.champions.units import Unit
from muster.features.made_from import Sources, counted
from muster.features.slices import contents
from muster.settings import Settings
from muster.storage.provenance import Fact, file_digests, write_facts
from muster.storage.store import Store
from muster.workload.load import load_workload
from muster.workload.stages import STAGE_NAMES
from muster_local.progress import champion, finished, last_finished, progress, result, unfinished, waiting
from muster_local.summary import quality, summary
from tests.features.test_slices import OWN, PARTITION, Line, replace_rows
from tests.plugins import airflow_task
from tests.promotion.conftest import Line as PromotedLine
from tests.promotion.history import declare


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path), "flights")
    folder = Path(store.uri(store.results("train")))
    folder.mkdir(parents=True)
    for age, name in enumerate(["2013-06-10-aa", "2013-06-03-bb", "2013-06-03-aa"]):
        (folder / f"{name}.json").write_text(json.dumps({"attempt": name}))
        os.utime(folder / f"{name}.json", (1000 - age, 1000 - age))
    (folder / "2013-06-17-aa.tmp").touch()
    return store


def test_a_partition_has_ended_when_a_result_is_there(store: Store) -> None:
    assert (last_finished(store, "train"), last_finished(store, "score")) == ("2013-06-10", None)
    assert [finished(store, "train", partition) for partition in ("2013-06-03", "2013-06-17")] == [True, False]


def test_an_attempt_that_mlflows_budget_put_off_has_not_ended(store: Store) -> None:
    put_off = Path(store.uri(store.results("train"))) / "2013-06-17-aa.json"
    put_off.write_text(json.dumps({"until": "2013-06-17T10:00:00+00:00", "why": "throttled by the server"}))
    assert (last_finished(store, "train"), finished(store, "train", "2013-06-17")) == ("2013-06-10", False)
    put_off.rename(put_off.with_name("2013-06-10-bb.json"))  # a later attempt on a partition that had ended
    assert result(store, "train", "2013-06-10") == {"attempt": "2013-06-10-aa"}


def test_what_a_paused_stage_has_missed_is_told_with_what_to_do(store: Store) -> None:
    evaluated = Path(store.uri(store.results("evaluate")))
    evaluated.mkdir(parents=True)
    (evaluated / "2013-06-03-aa.json").write_text("{}")
    os.utime(evaluated / "2013-06-03-aa.json", (1000, 1000))
    assert [item.text() for item in waiting(store)] == [
        "2013-06-10 has ended train and not evaluate: if no run of flights.evaluate is at work or red, "
        "trigger flights.evaluate with the partition key 2013-06-10",
        "2013-06-03 has ended evaluate and not promote: if no run of flights.promote is at work or red, "
        "trigger flights.promote with the partition key 2013-06-03",
    ]


def test_a_stage_that_has_just_ended_starts_the_next_by_itself(store: Store) -> None:
    (Path(store.uri(store.results("train"))) / "2013-06-10-bb.json").write_text("{}")
    assert [(item.partition, item.begins_by_itself) for item in waiting(store)] == [
        ("2013-06-03", False),
        ("2013-06-10", True),
    ]


def test_a_partition_that_is_judged_again_after_it_was_scored_is_unfinished(store: Store) -> None:
    def end(stage: str, partition: str, at: int) -> None:
        file = Path(store.uri(store.results(stage))) / f"{partition}-{at}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        os.utime(file, (at, at))

    partitions = ["2013-06-03", "2013-06-10", "2013-06-17"]
    for number, stage in enumerate(STAGE_NAMES):
        for partition in partitions[:2]:
            end(stage, partition, 2000 + number)
    assert unfinished(store, partitions) == ["2013-06-17"]
    end("evaluate", "2013-06-03", 3000)  # as a backfill does, which is not promoted: a later one is
    assert unfinished(store, partitions) == ["2013-06-17"]
    end("evaluate", "2013-06-10", 3000)
    assert unfinished(store, partitions) == ["2013-06-10", "2013-06-17"]


def test_the_last_attempt_counts(store: Store) -> None:
    assert result(store, "train", "2013-06-03") == {"attempt": "2013-06-03-bb"}
    assert result(store, "train", "2013-06-17") is None


YAML = """
keys: [place]
time: at
columns: {place: string, at: timestamp, delay: "float?"}
unique: [place, at]
label: {column: delay, above: 15}
features: {columns: [hour], lookback: 3}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 14, evaluate: 7}
schedule: {start: 2024-01-01, cron: "0 6 * * 1"}
"""


def test_status_tells_which_deadlines_are_missed(tmp_path: Path) -> None:
    settings = Settings(workloads=tmp_path, store=str(tmp_path))
    (tmp_path / "made.py").write_text("def features(rows): ...")
    (tmp_path / "made.yaml").write_text(YAML)
    assert [(one.watched, one.late) for one in progress(settings)] == [(False, ())]
    (tmp_path / "made.yaml").write_text(YAML + 'deadlines: {predictions_by: "07:00"}\n')
    ((watched, (late,)),) = [(one.watched, one.late) for one in progress(settings)]
    assert watched is True
    assert re.match(r"predictions of \d{4}-\d\d-\d\d are late since .* 07:00 UTC, by predictions_by: 07:00; last", late)
    (tmp_path / "made.yaml").write_text(YAML + "deadlines: {}\n")
    assert [(one.watched, one.late, bool(one.refused)) for one in progress(settings)] == [(False, (), True)]


def test_status_and_summary_tell_what_is_out_of_date_and_why(tmp_path: Path) -> None:
    line, settings = Line(tmp_path), Settings(workloads=tmp_path, store=str(tmp_path))
    (tmp_path / "made.yaml").write_text(YAML)
    line.ingest("2024-01-15", "2024-01-22", "2024-01-29")
    line.build()
    report = Path(line.store.uri(line.store.results("features")), "2024-01-29-aa.json")
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"rebuilt": {"another feature function": 2}}))
    assert progress(settings)[0].out_of_date is None
    line.ingest("2024-01-22", content="2:b")
    assert progress(settings)[0].out_of_date == "1: other rows of 2024-01-22"
    line.write_code(OWN.replace("2.0", "3.0"))
    both = "another feature function, other rows of 2024-01-22"
    assert progress(settings)[0].out_of_date == f"2: another feature function; 1: {both}"
    line.write_code("def features(:")
    assert progress(settings)[0].out_of_date is None
    shown = Console(width=100)
    with shown.capture() as captured:
        shown.print(summary(line.context, "2024-01-29"))
    assert re.search("slices built again +2: another feature function", captured.get())


def test_many_slices_that_are_out_of_date_are_counted_by_reason() -> None:
    days = [f"other rows of 2024-01-{day}, 2024-01-29 and 10 more" for day in (8, 15, 22)]
    assert counted([*days, "other keys", *(f"other keys, {rows}" for rows in days[:2]), "other keys"]) == {
        "other rows": 3,
        "other keys": 2,
        "other keys, other rows": 2,
    }
    assert counted(days[:1]) == {days[0]: 1}


def test_a_partition_whose_score_was_skipped_was_not_scored(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(YAML)
    scored = tmp_path / Store(str(tmp_path), "made").results("score")
    scored.mkdir(parents=True)
    for partition, report in (("2024-01-22", {"rows": 3}), ("2024-01-29", {"skipped_because": "no champion yet"})):
        (scored / f"{partition}-aa.json").write_text(json.dumps(report))
    (come,) = progress(Settings(workloads=tmp_path, store=str(tmp_path)))
    assert come.scored == "2024-01-22"


def test_what_no_ingest_has_brought_is_listed(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(YAML)
    ingested = tmp_path / Line(tmp_path).store.results("ingest")
    ingested.mkdir(parents=True)
    for partition in ("2024-01-08", "2024-01-29"):
        (ingested / f"{partition}-aa.json").write_text("{}")
    (come,) = progress(Settings(workloads=tmp_path, store=str(tmp_path)))
    assert come.left_out == ["2024-01-15", "2024-01-22"]


def test_quality_before_and_after() -> None:
    def row(verdict: str, candidate: float | None, champion: float | None, parent: bool = False) -> dict[str, object]:
        scores = {"candidate_score": candidate, "champion_score": champion, "baseline_score": 0.5}
        return {"verdict": verdict, "parent": parent, **scores}

    rows = [row("promote", 0.8, 0.7), row("reject", 0.6, 0.65), row("promote", 0.9, None), row("hold", None, 0.7)]
    assert quality([*rows, row("promote", 0.99, 0.7, parent=True)]) == {
        "baseline": [0.5, 0.5, 0.5],
        "champion before": [0.7, 0.65, 0.5],
        "champion after": [0.8, 0.65, 0.9],
    }


def test_the_champion_is_told_as_the_registry_of_the_last_move_has_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "made")
    assert champion(store) is None
    for group, version, due in (("A", "1", "1 group's own"), ("B", "1", "2 groups' own"), (None, "3", "3")):
        unit = Unit("made", "made", group)
        Journal(store).append([Move(unit, None, version, "gate", "test", "run", "2024-02-05", "0" * 64)])
        assert champion(store) == due


def test_predictions_of_a_champion_that_was_rolled_back_since_are_old(tmp_path: Path) -> None:
    line = PromotedLine(tmp_path / "store")
    file = declare(line, tmp_path / "workloads")
    settings = Settings(_env_file=None, home=tmp_path, store=str(line.root), workloads=file.parent)
    folder = Path(line.store.uri(line.store.results("score")))
    folder.mkdir(parents=True)
    (folder / f"{line.second}-by-hand.json").write_text(json.dumps({"rows": 1, "model_version": "2"}))

    def moved(to: str, since: str | None, partition: str, cause: Any) -> bool:
        unit = Unit(line.name, line.name)
        line.journal.append([Move(unit, since, to, cause, "ann", "run", partition, to * 64)])
        return progress(settings)[0].old

    assert not moved("1", None, line.first, "gate")
    assert not moved("2", "1", line.second, "gate")
    assert not moved("3", "2", line.third, "gate")
    assert moved("1", "3", line.first, "rollback")
    assert not moved("2", "1", line.second, "rollback")


def scored(line: Line, partition: str = PARTITION, **report: Any) -> Settings:
    """Leave what score reports of a partition, some seconds ago."""
    file = Path(line.store.uri(line.store.results("score")), f"{partition}-aa.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report))
    os.utime(file, (time.time() - 60, time.time() - 60))
    return Settings(workloads=line.folder, store=str(line.folder))


def test_predictions_of_features_that_were_built_of_other_rows_since_are_old(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(YAML)
    line = Line(tmp_path)
    line.ingest("2024-01-15", "2024-01-22", PARTITION)
    line.build()
    scoring = line.context.at(PARTITION).windows.score
    settings = scored(line, rows=1, features=contents(line.context, scoring))

    def write_again(slice_: str, content: str) -> tuple[str, ...]:
        """Write a slice again, of these rows; return why the predictions are old."""
        table = line.store.open("features")
        assert table is not None
        rows = table.to_pyarrow_table().filter(pc.field("partition") == slice_)
        replace_rows(line.store, "features", rows, f"partition = '{slice_}'")
        files = file_digests(line.store, "features")[slice_]
        write_facts(line.store, [Fact("features", slice_, files, {slice_: content} if content else {}, {})])
        return progress(settings)[0].predictions_old.get(PARTITION, ())

    assert progress(settings)[0].predictions_old == {}
    assert write_again(PARTITION, "") == ()  # of the same rows, in other files
    assert write_again("2024-01-22", "2:b") == ()  # another slice
    assert write_again(PARTITION, "2:b") == ("features were built of other rows since",)
    assert write_again(PARTITION, "") == ()


@pytest.mark.parametrize("last", [False, True])
def test_labels_that_have_arrived_since_make_no_predictions_old(tmp_path: Path, last: bool) -> None:
    (tmp_path / "made.yaml").write_text(YAML)
    line, day = Line(tmp_path), PARTITION
    line.ingest("2024-01-22", day)
    line.build()

    def write_again(content: str, asked: str, days: str) -> None:
        table = line.store.open("features")
        assert table is not None
        rows = table.to_pyarrow_table().filter(pc.field("partition") == day)
        replace_rows(line.store, "features", rows, f"partition = '{day}'")
        made_from = {
            **Sources.now(line.context).of(date.fromisoformat(day)),
            "days": {day: days},
            "asked": {day: asked},
        }
        files = file_digests(line.store, "features")[day]
        write_facts(line.store, [Fact("features", day, files, {day: content}, made_from)])

    def old() -> list[str]:
        return list(progress(settings)[0].predictions_old)

    write_again("2:a", "2:x", "without labels")
    settings = scored(line, day, rows=1, features=contents(line.context, line.context.at(day).windows.score))
    if not last:
        scored(line, "2024-02-05", rows=1, features={})
    write_again("2:b", "2:x", "with labels")
    assert old() == []
    write_again("2:c", "2:y", "corrected")
    assert old() == [day]


def test_predictions_of_groups_whose_own_champions_were_rolled_back_since_are_old(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(YAML + "registry: per_group\n")
    line = Line(tmp_path)
    earlier, later = "2024-01-22", "2024-02-05"
    journal = Journal(line.store)

    def move(group: str, since: str | None, to: str, partition: str, cause: Any = "gate") -> tuple[str, ...]:
        unit = Unit("made", f"made_{group}", group)
        journal.append([Move(unit, since, to, cause, "ann", "run", partition, group + to * 63)])
        return progress(settings)[0].predictions_old.get(PARTITION, ())

    settings = Settings(workloads=line.folder, store=str(line.folder))
    for group in "ab":
        move(group, None, "1", earlier)
        move(group, "1", "2", PARTITION)
    scored(line, rows=1, model_version=None)
    os.utime(Path(line.store.uri(line.store.results("score")), f"{PARTITION}-aa.json"))
    assert progress(settings)[0].predictions_old == {}
    assert move("c", None, "1", later) == ()  # too young for the slice
    assert move("a", "2", "3", later) == ()
    assert move("b", "2", "1", earlier, "rollback") == ("1 group would be answered by another champion now",)
    assert move("a", "3", "1", earlier, "rollback") == ("2 groups would be answered by another champion now",)
    assert move("b", "1", "2", PARTITION, "rollback") == ("1 group would be answered by another champion now",)


def test_predictions_of_earlier_partitions_are_old_after_a_correction_but_not_after_another_function(
    tmp_path: Path,
) -> None:
    (tmp_path / "made.yaml").write_text(YAML)
    line, weeks = Line(tmp_path), ("2024-01-15", "2024-01-22", PARTITION)
    line.ingest(*weeks)
    line.build(content=dict.fromkeys(weeks, "1:a"))
    for week in weeks:
        holds = contents(line.context, line.context.at(week).windows.score)
        settings = scored(line, week, rows=1, features=holds)

    def old() -> list[str]:
        (come,) = progress(settings)
        assert set(come.predictions_old.values()) <= {("features were built of other rows since",)}
        return list(come.predictions_old)

    assert old() == []
    line.ingest(weeks[0], content="1:b")
    line.build(content=dict.fromkeys(weeks, "1:a") | {weeks[0]: "1:b"})
    assert old() == [weeks[0]]
    line.ingest(weeks[0])
    line.build(content=dict.fromkeys(weeks, "1:a"))
    line.write_code(OWN.replace("2.0", "3.0"))
    line.build(content=dict.fromkeys(weeks, "1:c"))
    assert old() == [PARTITION]


def test_predictions_of_earlier_partitions_and_of_a_pack_that_was_registered_again(tmp_path: Path) -> None:
    line = PromotedLine(tmp_path / "store")
    file = declare(line, tmp_path / "workloads")
    settings = Settings(_env_file=None, home=tmp_path, store=str(line.root), workloads=file.parent)
    Path(line.store.uri(line.store.results("score"))).mkdir(parents=True)

    def move(to: str, since: str | None, partition: str, cause: Any, digest: str, **evidence: str) -> None:
        unit = Unit(line.name, line.name)
        line.journal.append([Move(unit, since, to, cause, "ann", "run", partition, digest * 64, evidence)])

    for version, partition in (("1", line.first), ("2", line.second), ("3", line.third)):
        move(version, str(int(version) - 1) if version != "1" else None, partition, "gate", version)
        report = {"rows": 1, "model_version": version}
        Path(line.store.uri(line.store.results("score")), f"{partition}-by-hand.json").write_text(json.dumps(report))
    assert progress(settings)[0].predictions_old == {}
    move("4", "3", line.second, "rollback", "2", restored="2")  # version 2 was deleted
    assert list(progress(settings)[0].predictions_old) == [line.third]
    move("1", "4", line.first, "rollback", "1")
    assert list(progress(settings)[0].predictions_old) == [line.second, line.third]


def test_a_champion_that_is_moved_while_score_runs_was_moved_since(tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(YAML + "registry: per_group\n")
    line = Line(tmp_path)
    journal, unit = Journal(line.store), Unit("made", "made_a", "a")
    journal.append([Move(unit, None, "1", "gate", "ann", "run", "2024-01-22", "1" * 64)])
    journal.append([Move(unit, "1", "2", "gate", "ann", "run", PARTITION, "2" * 64)])
    begun = time.time()
    journal.append([Move(unit, "2", "1", "rollback", "ann", "run", "2024-01-22", "1" * 64)])
    settings = scored(line, rows=1, model_version=None, champions_at=begun)
    os.utime(Path(line.store.uri(line.store.results("score")), f"{PARTITION}-aa.json"))
    assert list(progress(settings)[0].predictions_old) == [PARTITION]


@pytest.mark.parametrize("waits", [False, True])
def test_a_partition_that_is_not_to_be_trained_waits_for_nothing_but_its_scores(tmp_path: Path, waits: bool) -> None:
    file, store = airflow_task.declare(tmp_path / "workloads"), Store(str(tmp_path), "made")
    file.write_text(
        f"{airflow_task.WORKLOAD}retrain: {{every: 14, score_waits: {str(waits).lower()}}}\n", encoding="utf-8"
    )
    workload = load_workload(file)

    def end(stage: str, seconds: int, **report: Any) -> None:
        path = Path(store.uri(store.results(stage)), "2024-02-05-1.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report))
        os.utime(path, (seconds, seconds))

    end("ingest", 1)
    end("features", 2)
    both = [("features", "train")] if waits else [("features", "train"), ("features", "score")]
    assert [(item.stage, item.following) for item in waiting(store, workload)] == both
    end("cadence", 3, train=False, why="not due")
    assert [(item.stage, item.following) for item in waiting(store, workload)] == [("features", "score")]
    end("score", 4)
    assert waiting(store, workload) == []
    end("cadence", 5, train=True, why="by hand")
    assert [(item.stage, item.following) for item in waiting(store, workload)] == [("features", "train")]
