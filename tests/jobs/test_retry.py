"""A retry trains the groups that failed, were stale or came late, and judges and promotes just them."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from muster.champions.journal import Journal
from muster.evaluation.candidates import NotTrained
from muster.freshness import stale
from muster.housekeeping.inventory import inventory
from muster.housekeeping.kept_runs import kept_runs
from muster.mlflow.candidates import tagged_candidates
from muster.promotion.verdicts import NotJudged
from muster.scoring.rescored import NoSuchRetry
from muster.storage.attempts import partition_runs
from muster.storage.files import Files
from muster.training.ledger import LedgerNotReconciled, TooManyFailed
from muster.training.retry import NothingToRetry, NotToRetry, TrainedMeanwhile
from muster_jobs import train
from muster_jobs.job import Job
from tests.jobs.retried import DECLARED, FIRST, SECOND, Line, OneByOneJob
from tests.promotion.conftest import Killed, dying

pytestmark = pytest.mark.slow
SOUND, ALL = ["a", "b", "d"], ["a", "b", "c", "d"]


@pytest.fixture
def line(tmp_path: Path, registry_settings: str) -> Line:
    """A workload of which the feature function fails for the group `c`."""
    line = Line(tmp_path)
    line.features(ALL, broken=["c"])
    return line


@pytest.fixture(params=["pack", "per_group"])
def registered(line: Line, request: pytest.FixtureRequest) -> Line:
    """The same with champions of either kind."""
    line.declared |= {"registry": request.param}
    return line


def bytes_of(line: Line) -> dict[str, bytes]:
    """Return the stored bytes of each model of the partition."""
    files: Files = line.store.files
    return {row["group"]: files.read(row["shard"], row["offset"], row["length"]) for row in line.rows("models")}


def mended(line: Line, groups: list[str] = ALL) -> None:
    line.features(groups)


def test_only_what_failed_is_trained_and_the_others_rows_and_bytes_stay(line: Line) -> None:
    first = line.run("train")
    models, stored, ledger = line.rows("models"), bytes_of(line), line.rows("ledger")
    mended(line)
    result = line.run("train", retry="failed")
    assert (result["groups"], result["trained"], result["attempt"]) == (1, 1, 2)
    assert result["run"] != first["run"]
    ends = [(group, 1, "failed" if group == "c" else "trained") for group in ALL]
    assert line.ends() == sorted([*ends, ("c", 2, "trained")])
    assert [row for row in line.rows("models") if row["group"] != "c"] == models
    assert [row for row in line.rows("ledger") if row["run"] == first["run"]] == ledger
    after = bytes_of(line)
    assert {group: after[group] for group in SOUND} == stored
    assert set(after) == {*ALL}


def test_a_retried_groups_model_is_the_one_that_a_whole_training_gives(line: Line) -> None:
    line.run("train")
    mended(line)
    line.run("train", retry="failed")
    retried = bytes_of(line)["c"]
    line.run("train")
    assert bytes_of(line)["c"] == retried


def test_no_file_of_a_bucket_that_holds_no_retried_group_is_read(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.run("train")
    mended(line)
    read: list[tuple[set[str], Any]] = []
    rows_of = train.read_run_rows

    def watched(context: Any, files: Any, large: Any, only: Any = None) -> Any:
        rows = rows_of(context, files, large, only)
        read.append((set(rows["group"].to_pylist()), only))
        return rows

    monkeypatch.setattr(train, "read_run_rows", watched)
    line.run("train", retry="failed")
    assert read == [({"c"}, frozenset({"c"}))]


def test_the_same_retry_again_is_the_same_run_with_the_same_rows(line: Line) -> None:
    line.run("train")
    mended(line)
    first = line.run("train", retry='["c"]')
    tables = line.rows("models"), [{**row, "seconds": 0} for row in line.rows("ledger")]
    assert line.run("train", retry='["c"]')["run"] == first["run"]
    assert line.run("train", retry="failed")["run"] == first["run"]  # it was not judged yet
    assert (line.rows("models"), [{**row, "seconds": 0} for row in line.rows("ledger")]) == tables


def test_what_fails_again_keeps_both_rows_and_another_try_on_other_data_is_another_run(line: Line) -> None:
    line.run("train")
    again = line.run("train", retry="failed")
    assert (again["failed"], again["attempt"]) == (1, 2)
    mended(line)
    assert line.run("train", retry="failed")["attempt"] == 3
    assert [end[1:] for end in line.ends() if end[0] == "c"] == [(1, "failed"), (2, "failed"), (3, "trained")]
    assert len(partition_runs(line.store, FIRST).retries) == 2


def test_a_group_whose_rows_came_late_is_retried(line: Line) -> None:
    line.features(SOUND)
    line.run("train")
    mended(line)
    assert line.run("train", retry="failed")["trained"] == 1
    assert ("c", 2, "trained") in line.ends()


def test_a_group_that_was_stale_is_retried_once_it_is_so_no_more(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    now: dict[str, Any] = {"c": "2024-01-01"}
    for module in (train, __import__("muster.training.retry", fromlist=["retry"])):
        monkeypatch.setattr(module, "stale_groups", lambda _: now)
    mended(line)
    line.run("train")
    assert ("c", 1, "skipped") in line.ends()
    assert line.run("train", retry="failed")["skipped_because"].endswith("nothing to retry")
    with pytest.raises(NotToRetry, match="'c' is stale still: no observation since 2024-01-01"):
        line.run("train", retry='["c"]')
    now.clear()
    assert line.run("train", retry="failed")["trained"] == 1
    assert stale.stale_groups is not None


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ('["a"]', "'a' was trained: clear train to train the whole partition again"),
        ('["c", "zz"]', "'zz' is no group of it"),
        ("a", "'a' names no groups: write 'failed', or a JSON array"),
    ],
)
def test_what_is_not_to_be_retried_is_refused_with_the_rule(line: Line, named: str, why: str) -> None:
    line.run("train")
    mended(line)
    before = line.rows("ledger")
    with pytest.raises(Exception, match=why):
        line.run("train", retry=named)
    assert line.rows("ledger") == before


def test_without_a_training_there_is_nothing_to_retry(line: Line) -> None:
    with pytest.raises(NothingToRetry, match="was not trained yet"):
        line.run("train", retry="failed")


def test_a_retry_reconciles_with_a_reading_that_training_does_not_share(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.run("train")
    mended(line)
    monkeypatch.setattr(train, "train_bucket", lambda *_: train.OUTCOMES.empty_table())
    before = line.rows("ledger"), line.rows("models")
    with pytest.raises(LedgerNotReconciled, match="missing: c"):
        line.run("train", retry="failed")
    assert (line.rows("ledger"), line.rows("models")) == before


def test_max_failed_counts_the_partitions_groups(line: Line) -> None:
    line.declared |= {"max_failed": 0.25}
    line.features(ALL, broken=["c", "d"])
    with pytest.raises(TooManyFailed, match="2 of 4 groups"):
        line.run("train")
    line.features(ALL, broken=["c"])
    assert line.run("train", retry="failed")["failed"] == 1  # one of two retried, one of the four groups
    assert [end[1:] for end in line.ends() if end[0] == "d"] == [(1, "failed"), (2, "trained")]


@pytest.mark.parametrize("table", ["models", "ledger"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_between_the_tables_trying_again_reaches_the_same_end(
    registered: Line, monkeypatch: pytest.MonkeyPatch, table: str, after: bool
) -> None:
    whole = registered.whole()
    mended(registered)
    replace = Job.replace

    def dies(job: Job, rows: Any, written: str, *arguments: Any) -> None:
        if written == table:
            dying(lambda: replace(job, rows, written, *arguments), after)()
        replace(job, rows, written, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OneByOneJob, "replace", dies)
        with pytest.raises(Killed):
            registered.run("train", retry="failed")
    registered.run("evaluate")  # the training is judged as before, whatever a killed retry left
    retry = registered.retry()
    assert registered.answering() == {**dict.fromkeys(SOUND, whole), "c": retry}
    assert [end[1:] for end in registered.ends() if end[0] == "c"] == [(1, "failed"), (2, "trained")]
    assert len(registered.rows("models")) == 4


def test_just_the_retried_are_judged_and_promoted_beside_the_others(registered: Line) -> None:
    whole = registered.whole()
    before = [row for row in registered.rows("decisions") if row["run"] == whole]
    mended(registered)
    retry = registered.retry()
    assert [row for row in registered.rows("decisions") if row["run"] == whole] == before
    assert registered.verdicts()["c", retry] == "promote"
    assert registered.verdicts()["c", whole] == "hold"
    assert registered.answering() == {**dict.fromkeys(SOUND, whole), "c": retry}
    assert [run for _, run in registered.moves][-1] == retry


@pytest.mark.parametrize("order", list(permutations(["whole", "retry", "retry"], 3))[:3])
def test_promoting_either_again_undoes_nothing_and_promotes_nothing(registered: Line, order: Any) -> None:
    whole = registered.whole()
    mended(registered)
    retry = registered.retry()
    answering, moves = registered.answering(), registered.moves
    for which in order:
        options = {"run": retry} if which == "retry" else {}
        registered.run("evaluate", **options)
        registered.run("promote", **options)
        assert registered.verdicts()["c", retry] == "promote"
    assert (registered.answering(), registered.moves) == (answering, moves)
    assert answering == {**dict.fromkeys(SOUND, whole), "c": retry}


def test_a_training_that_is_promoted_after_its_retry_keeps_what_that_has_promoted(registered: Line) -> None:
    whole = registered.run("train")["run"]
    mended(registered)
    retry = registered.retry()
    assert registered.answering() == {"c": retry}
    registered.run("evaluate")
    registered.run("promote")
    assert registered.answering() == {**dict.fromkeys(SOUND, whole), "c": retry}


def test_other_verdicts_on_the_training_keep_what_its_retry_has_promoted(registered: Line) -> None:
    whole = registered.whole()
    mended(registered)
    retry = registered.retry()
    registered.declared |= {"gate": {"resamples": 100, "min_positives": 5, "min_rows": 10_000, "baseline": "noise"}}
    registered.run("evaluate")
    registered.run("promote")
    assert registered.answering()["c"] == retry
    registered.declared.pop("gate")
    registered.run("evaluate")
    registered.run("promote")
    assert registered.answering() == {**dict.fromkeys(SOUND, whole), "c": retry}


def test_a_retry_of_a_retry_is_promoted_over_it(registered: Line) -> None:
    registered.features(ALL, broken=["c", "d"])
    whole = registered.whole()
    registered.features(ALL, broken=["c"])
    second = registered.retry()
    mended(registered)
    third = registered.retry()
    assert registered.answering() == {"a": whole, "b": whole, "d": second, "c": third}
    moves = registered.moves
    for run in (second, third):
        registered.run("evaluate", run=run)
        registered.run("promote", run=run)
    assert registered.moves == moves


def test_a_whole_training_afterwards_takes_the_place_of_the_partitions_retries(registered: Line) -> None:
    """Where each group has a registered model of its own, the very same bytes are the version that they were."""
    registered.whole()
    before = registered.answering()
    mended(registered)
    retry = registered.retry()
    again = registered.whole()
    assert registered.ends() == [(group, 1, "trained") for group in ALL]
    of_pack = dict.fromkeys(ALL, again)
    assert registered.answering() == (of_pack if registered.workload.registry == "pack" else {**before, "c": retry})
    with pytest.raises(NotTrained, match=f"the ledger holds no retry '{retry}'"):
        registered.run("evaluate", run=retry)
    with pytest.raises(NotJudged, match="no row of it"):
        registered.run("promote", run=retry)


def test_a_retry_is_not_written_where_the_partition_was_trained_meanwhile(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.run("train")
    mended(line)
    check = train.check_shards

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(train, "check_shards", check)
        line.run("train")
        check(*arguments)

    monkeypatch.setattr(train, "check_shards", meanwhile)
    with pytest.raises(TrainedMeanwhile):
        line.run("train", retry="failed")
    assert line.ends() == [(group, 1, "trained") for group in ALL]


def test_behind_a_later_partitions_champion_nothing_moves(line: Line) -> None:
    line.declared |= {"gate": {**DECLARED["gate"], "rule": "not_worse", "margin": 0.3}}
    line.features(ALL, broken=["c"])
    line.whole()
    later = line.whole(SECOND)
    moves = line.moves
    assert [run for _, run in moves][-1] == later
    mended(line)
    run = line.run("train", retry="failed")["run"]
    line.run("evaluate", run=run)
    result = line.run("promote", run=run)
    assert (line.moves, result["moved"]) == (moves, False)
    assert "later partition" in result["reason"]


def test_a_retry_that_was_judged_leaves_nothing_to_do_and_its_later_stages_go_on(line: Line) -> None:
    line.whole()
    mended(line)
    retry = line.retry()
    result = line.run("train", retry="failed")
    assert (result["run"], result["groups"]) == (retry, 0)
    assert "nothing to retry" in result["nothing"]


def test_the_calls_of_mlflow_do_not_grow_with_the_retried_groups(line: Line) -> None:
    from muster.mlflow.budget import count

    calls = []
    for broken in (["c"], ["b", "c", "d"]):
        line.features(ALL, broken=broken)
        line.run("train")
        mended(line)
        before = count()
        line.run("train", retry="failed")
        calls.append(count() - before)
    assert calls[0] == calls[1]


def test_judging_the_training_leaves_a_retrys_candidates_tagged(line: Line) -> None:
    line.run("train")
    mended(line)
    retry = line.run("train", retry="failed")["run"]
    line.run("evaluate")
    assert {item.run for item in tagged_candidates(line.workload)} == {retry}
    line.run("evaluate", run=retry)
    assert tagged_candidates(line.workload) == []


def test_a_training_judged_against_a_champion_keeps_what_its_retry_promoted_before_it(registered: Line) -> None:
    registered.declared |= {"gate": {**DECLARED["gate"], "rule": "not_worse", "margin": 0.3}}
    registered.features(ALL)
    registered.whole()
    registered.features(ALL, broken=["c"])
    whole = registered.run("train", SECOND)["run"]
    registered.features(ALL)
    retry = registered.retry(SECOND)
    assert registered.answering(SECOND)["c"] == retry
    registered.run("evaluate", SECOND)
    registered.run("promote", SECOND)
    assert registered.answering(SECOND) == {**dict.fromkeys(SOUND, whole), "c": retry}


SCORED = ("group", "row_id", "score", "fallback", "model_version", "origin_run", "scored_at", "time")


def predictions(line: Line) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {group: [] for group in ALL}
    for row in sorted(line.rows("predictions"), key=lambda row: row["row_id"]):
        rows[row["group"]].append({name: row[name] for name in SCORED})
    return rows


@pytest.mark.spark
def test_just_the_retried_groups_rows_are_scored_and_the_others_stay(registered: Line, spark: Any) -> None:
    registered.features([*SOUND, "c"], broken=["c"])
    registered.whole()
    registered.score(spark)
    before = predictions(registered)
    assert {row["fallback"] for row in before["c"]} == {"no features"}
    mended(registered)
    retry = registered.retry()
    result = registered.score(spark, run=retry)  # the slice is built of other rows: all are scored
    assert "groups_scored" not in result
    assert {row["origin_run"] for row in predictions(registered)["c"]} == {retry}
    whole = predictions(registered)
    again = registered.score(spark, run=retry)
    assert (again["groups_scored"], again["rows"]) == (1, sum(map(len, whole.values())))
    after = predictions(registered)
    assert {group: after[group] for group in SOUND} == {group: whole[group] for group in SOUND}
    assert [row["score"] for row in after["c"]] == [row["score"] for row in whole["c"]]
    assert after["c"][0]["scored_at"] > whole["c"][0]["scored_at"]
    assert {group: [row["score"] for row in rows] for group, rows in after.items() if group != "c"} == {
        group: [row["score"] for row in rows] for group, rows in before.items() if group != "c"
    }
    with pytest.raises(NoSuchRetry, match="no retry '2024-02-05-0000'"):
        registered.score(spark, run="2024-02-05-0000")


def test_what_a_retry_has_won_stays_until_it_may_be_promoted_no_more(line: Line) -> None:
    """The training is promoted, the retry judged alone; the partition is none of the last ones."""
    whole = line.whole()
    mended(line)
    retry = line.run("train", retry="failed")["run"]
    line.run("evaluate", run=retry)
    line.run("train", SECOND)
    kept = kept_runs(line.at(FIRST), inventory(line.store), Journal(line.store), keep=1)
    assert kept.partitions == {FIRST, SECOND}
    assert {shard.split("/")[-2] for shard in kept.shards} >= {whole, retry}
    line.run("promote", run=retry)
    kept = kept_runs(line.at(FIRST), inventory(line.store), Journal(line.store), keep=1)
    assert kept.partitions == {SECOND}
