"""Promotion against an MLflow server: exactly once, in the face of crashes, races and reruns."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from muster.champions import alias, artifacts, pack_artifact
from muster.champions.as_of import AsOf
from muster.champions.errors import AliasMoved, ForeignVersion, MoveUnderWay
from muster.champions.journal import Journal
from muster.mlflow import budget
from muster.mlflow.budget import BudgetSpent, ServerUnavailable
from muster.mlflow.client import connect
from muster.promotion import promoted
from muster.promotion.approval import Approval, NeedsApproval
from muster.promotion.verdicts import NotJudged, read_verdicts
from muster.settings import settings
from tests.packs import manifest_of, pack_of
from tests.promotion.conftest import Killed, dying

Line = Any
pytestmark = pytest.mark.slow
WON = {"A,X": "promote", "B,X": "promote", "C,X": "reject"}


def _promote(line: Line, partition: str, approval: Approval | None = None) -> dict[str, Any]:
    return line.promote(partition, approval=approval)


def _week(line: Line, partition: str, verdicts: dict[str, str], slope: float, against: str | None = None) -> str:
    return line.week(partition, verdicts, slope, against)


def _versions(line: Line) -> list[Any]:
    return list(connect().search_model_versions(f"name = '{line.name}'"))


def _state(line: Line) -> tuple[Any, ...]:
    """Return what must come out the same: champion, versions, logged models, journal, packs."""
    champion = line.champion()
    experiment = connect().get_experiment_by_name(line.name).experiment_id
    logged = connect().search_logged_models([experiment])
    packs = sorted(path.name for path in Path(line.store.uri(line.store.packs)).glob("*champion*"))
    moves = [(row["from_version"], row["to_version"], row["manifest_sha256"]) for row in line.moves]
    return champion, len(_versions(line)), [model.status for model in logged], moves, packs


def test_the_first_champion_holds_the_winners(served: Line) -> None:
    run = _week(served, served.first, WON, 1.0)
    result = _promote(served, served.first)
    champion = served.champion()
    assert (champion.version, champion.partition, champion.digest) == (
        result["to_version"],
        served.first,
        result["manifest_sha256"],
    )
    manifest = manifest_of(served.store, champion.place, champion.digest)
    assert sorted(manifest["group"].to_pylist()) == ["A,X", "B,X"]
    assert (result["moved"], result["promoted"], result["kept"], result["from_version"]) == (True, 2, 0, None)
    (move,) = served.moves
    assert (move["cause"], move["run"], move["who"], move["partition"]) == ("gate", run, "test", served.first)
    assert json.loads(move["evidence"])["rejected"] == 1


def test_the_version_is_ready_tagged_and_signed(served: Line) -> None:
    run = _week(served, served.first, WON, 1.0)
    result = _promote(served, served.first)
    (version,) = _versions(served)
    assert version.status == "READY"
    assert version.run_id == result["mlflow_run_id"]
    assert version.tags["muster.run"] == run
    assert version.tags["muster.features_version"] == "3"
    assert (version.tags["muster.groups"], version.tags["muster.promoted"]) == ("2", "2")


def test_a_pack_of_several_algorithms_is_logged_under_the_one_that_won_most(served: Line) -> None:
    models = {"A,X": {"forest": 1.0, "logistic": 2.0}, "B,X": {"forest": 3.0}, "C,X": {"forest": 5.0, "logistic": 4.0}}
    run = served.train(served.first, models)
    served.decide(served.first, run, dict.fromkeys(models, "promote"), chosen={"B,X": "forest", "C,X": "forest"})
    result = _promote(served, served.first)
    champion = served.champion()
    pack = pack_of(served.store, champion.place, champion.digest)
    assert {group: pack.model(group).coef_[0, 0] for group in models} == {"A,X": 2.0, "B,X": 3.0, "C,X": 5.0}
    logged = connect().get_run(result["mlflow_run_id"]).data
    assert (logged.tags["muster.run"], logged.tags["muster.algorithm"]) == (run, "forest")


def test_the_same_winners_with_other_algorithms_are_other_verdicts(served: Line) -> None:
    models = {"A,X": {"forest": 1.0, "logistic": 2.0}}
    run = served.train(served.first, models)
    served.decide(served.first, run, {"A,X": "promote"})
    assert _promote(served, served.first)["to_version"] == "1"
    served.decide(served.first, run, {"A,X": "promote"}, chosen={"A,X": "forest"})
    assert _promote(served, served.first)["to_version"] == "2"


def test_the_next_champion_keeps_the_groups_that_did_not_win(served: Line) -> None:
    first = served.begin((served.first, WON, 1.0, None))
    _week(served, served.second, {"A,X": "promote", "B,X": "reject", "D,X": "promote"}, 7.0, first["to_version"])
    second = _promote(served, served.second)
    champion = served.champion()
    pack = pack_of(served.store, champion.place, champion.digest)
    assert {group: pack.model(group).coef_[0, 0] for group in ("A,X", "B,X", "D,X")} == {"A,X": 7, "B,X": 1, "D,X": 7}
    assert (second["promoted"], second["kept"], second["from_version"]) == (2, 1, first["to_version"])


def test_no_winner_moves_nothing(served: Line) -> None:
    _week(served, served.first, {"A,X": "reject", "B,X": "hold"}, 1.0)
    result = _promote(served, served.first)
    assert result["moved"] is False
    assert result["reason"].startswith("no group was promoted: ")
    assert served.champion() is None
    assert served.moves == []


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("dry_run", "the gate's mode is dry_run: 2 groups would have been promoted"),
        ("disabled", "the gate is disabled"),
    ],
)
def test_a_gate_that_is_not_enabled_moves_nothing_whatever_was_decided(served: Line, mode: str, reason: str) -> None:
    _week(served, served.first, WON, 1.0)
    served.declared = {"gate": {"baseline": "record", "mode": mode}}
    result = _promote(served, served.first)
    assert (result["moved"], result["reason"]) == (False, reason)
    assert served.champion() is None
    assert served.moves == []


def test_promoting_again_changes_nothing_and_says_the_same(served: Line) -> None:
    _week(served, served.first, WON, 1.0)
    result, state = _promote(served, served.first), _state(served)
    assert _promote(served, served.first) == result
    assert _state(served) == state


def test_without_decisions_it_says_what_to_run(served: Line) -> None:
    with pytest.raises(NotJudged, match="run evaluate"):
        _promote(served, served.first)


STEPS = [
    (promoted, "build_pack"),
    (pack_artifact, "save_pack"),
    (artifacts, "_create_model"),
    (pack_artifact.PackArtifact, "link"),
    (Journal, "append"),
    (promoted, "add_metrics"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_retry_after_a_crash_reaches_the_same_end(
    served: Line, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    _week(served, served.first, WON, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            _promote(served, served.first)
    result = _promote(served, served.first)
    champion, versions, logged, moves, packs = _state(served)
    assert result["moved"]
    assert champion.version == result["to_version"]
    assert (versions, logged, len(moves), len(packs)) == (1, ["READY"], 1, 1)


def test_a_reader_never_sees_half_a_pack(served: Line) -> None:
    seen, wrong, stop = set(), [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                champion = served.champion()
                if champion is not None:
                    pack = pack_of(served.store, champion.place, champion.digest)
                    slopes = {pack.model(group).coef_[0, 0] for group in ("A,X", "B,X")}
                    seen.add((champion.version, *slopes))
            except Exception as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        version = None
        for partition, slope in ((served.first, 1.0), (served.second, 2.0), (served.third, 3.0)):
            _week(served, partition, {"A,X": "promote", "B,X": "promote"}, slope, version)
            version = _promote(served, partition)["to_version"]
    finally:
        stop.set()
        reader.join()
    assert not wrong
    assert all(len(state) == 2 for state in seen)
    assert len(seen) >= 2


def test_a_champion_of_after_the_journal_was_read_is_no_move_by_hand(served: Line) -> None:
    journal, unit = served.journal, served.unit()
    for partition, slope, before in ((served.first, 1.0, None), (served.second, 2.0, "1")):
        _week(served, partition, WON, slope, before)
        _promote(served, partition)
        champion = AsOf(partition, including=True).champion(unit, journal, served.store)
        assert (champion.version, champion.partition) == (served.champion().version, partition)
    assert AsOf(served.second, including=False).champion(unit, journal, served.store).version == "1"


def test_another_version_than_the_judged_one_is_refused(served: Line) -> None:
    served.begin((served.first, WON, 1.0, None))
    _week(served, served.second, WON, 2.0, against=None)
    state = _state(served)
    with pytest.raises(AliasMoved, match="were made with no champion, Champion is now version 1"):
        _promote(served, served.second)
    assert _state(served)[0] == state[0]
    assert _state(served)[3] == state[3]


def test_of_two_promotions_at_once_one_wins_and_the_other_fails(served: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    _week(served, served.first, WON, 1.0)
    _week(served, served.second, WON, 2.0)
    together, append = threading.Barrier(2), Journal.append

    def both_at_once(*arguments: Any) -> Any:
        together.wait(60)
        return append(*arguments)

    monkeypatch.setattr(Journal, "append", both_at_once)
    results: dict[str, Any] = {}

    def one(partition: str) -> None:
        try:
            results[partition] = _promote(served, partition)
        except Exception as error:
            results[partition] = error

    threads = [threading.Thread(target=one, args=[partition]) for partition in (served.first, served.second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [result for result in results.values() if isinstance(result, dict)]
    (lost,) = [result for result in results.values() if not isinstance(result, dict)]
    assert isinstance(lost, AliasMoved)
    assert "another move came first" in str(lost)
    assert served.champion().version == won["to_version"]
    assert [row["to_version"] for row in served.moves] == [won["to_version"]]


def test_a_move_that_is_being_made_is_waited_for(served: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    _week(served, served.first, WON, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", dying(Journal.append, after=True))
        with pytest.raises(Killed):
            _promote(served, served.first)
    _week(served, served.second, WON, 2.0)
    with pytest.raises(MoveUnderWay, match=served.first):
        _promote(served, served.second)
    monkeypatch.setattr(alias, "UNDER_WAY", alias.UNDER_WAY * 0)
    assert _promote(served, served.second)["moved"]


def test_never_to_a_pack_of_an_older_partition(served: Line) -> None:
    _week(served, served.second, WON, 2.0)
    later = _promote(served, served.second)
    _week(served, served.first, WON, 1.0)
    result = _promote(served, served.first)
    assert (result["moved"], result["reason"]) == (False, f"the champion is of a later partition, {served.second}")
    assert served.champion().version == later["to_version"]


def test_a_rolled_back_promotion_is_not_made_again_by_a_clear(served: Line) -> None:
    first = served.begin((served.first, WON, 1.0, None))
    _week(served, served.second, WON, 2.0, first["to_version"])
    _promote(served, served.second)
    served.roll_back(first["to_version"])
    result = _promote(served, served.second)
    assert not result["moved"]
    assert "carried out before, as version 2" in result["reason"]
    assert served.champion().version == first["to_version"]


def test_a_partition_trained_again_replaces_its_own_promotion(served: Line) -> None:
    first = served.begin((served.first, WON, 1.0, None))
    _week(served, served.second, {"A,X": "promote", "B,X": "promote"}, 2.0, first["to_version"])
    _promote(served, served.second)
    _week(served, served.second, {"A,X": "promote", "B,X": "reject"}, 3.0, first["to_version"])
    result = _promote(served, served.second)
    champion = served.champion()
    pack = pack_of(served.store, champion.place, champion.digest)
    assert (result["from_version"], result["to_version"]) == ("2", "3")
    assert (pack.model("A,X").coef_[0, 0], pack.model("B,X").coef_[0, 0]) == (3.0, 1.0)


def test_models_that_no_longer_fit_the_workload_are_left_behind(served: Line) -> None:
    first = served.begin((served.first, WON, 1.0, None))
    served.declared = {"features": {"columns": ["a", "b", "record", "c"], "buckets": 4}}
    _week(served, served.second, {"A,X": "promote", "B,X": "reject"}, 2.0, first["to_version"])
    result = _promote(served, served.second)
    assert (result["promoted"], result["kept"], result["groups"]) == (1, 0, 1)
    assert json.loads(served.moves[-1]["evidence"])["dropped"] == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, MlflowException), (429, BudgetSpent), (500, ServerUnavailable), (503, ServerUnavailable)],
)
def test_a_server_in_trouble_is_never_read_as_no_champion(
    line: Line, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MUSTER_MLFLOW_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MUSTER_HOME", str(line.root))
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", '{"patience": 1, "first_pause": 0.01}')
    settings.cache_clear()
    try:
        with pytest.raises(error):
            line.champion()
    finally:
        monkeypatch.undo()
        settings.cache_clear()
        server.shutdown()


def test_a_version_that_is_no_pack_is_refused(served: Line) -> None:
    client = connect()
    client.create_registered_model(served.name)
    client.create_model_version(served.name, "s3://elsewhere/model")
    client.set_registered_model_alias(served.name, "Champion", "1")
    with pytest.raises(ForeignVersion, match="no tag"):
        served.champion()


@pytest.mark.parametrize("calls_at", [(10, 1000)])
def test_the_number_of_calls_does_not_grow_with_the_groups(served: Line, calls_at: tuple[int, int]) -> None:
    counted = []
    for partition, groups in zip((served.first, served.second), calls_at, strict=True):
        before = budget.count()
        champion = served.champion()
        verdicts = {f"G{number},X": "promote" for number in range(groups)}
        _week(served, partition, verdicts, 1.0, champion.version if champion else None)
        _promote(served, partition)
        counted.append(budget.count() - before)
    first, second = counted
    assert second <= first <= 60
    assert first - second <= 1  # the first run of a workload makes its experiment


def _two_weeks(line: Line, second: dict[str, str]) -> str:
    """Make a champion of four groups, then the verdicts of the next week; return their digest."""
    version = line.begin((line.first, dict.fromkeys(("A,X", "B,X", "C,X", "D,X"), "promote"), 1.0, None))["to_version"]
    line.declared = {"gate": {"baseline": "record", "max_changed": 0.5}}
    _week(line, line.second, second, 2.0, version)
    return read_verdicts(line.at(line.second)).digest


def test_more_change_than_declared_needs_a_human(served: Line) -> None:
    digest = _two_weeks(served, dict.fromkeys(("A,X", "B,X", "C,X"), "promote"))
    state = _state(served)
    with pytest.raises(NeedsApproval, match=rf"75.0% of the champion's 4 groups would change, .*={digest}"):
        _promote(served, served.second)
    with pytest.raises(NeedsApproval, match=r"and 'ann' approved other verdicts \(0123\)"):
        _promote(served, served.second, Approval("ann", "0123"))
    assert _state(served) == state
    result = _promote(served, served.second, Approval("ann", digest))
    assert (result["moved"], result["promoted"]) == (True, 3)
    evidence = json.loads(served.moves[-1]["evidence"])
    assert (evidence["approved_by"], evidence["changed"], evidence["verdicts"]) == ("ann", 0.75, digest)


def test_groups_that_the_champion_does_not_hold_are_no_change_of_it(served: Line) -> None:
    _two_weeks(served, dict.fromkeys(("A,X", "B,X", "E,X", "F,X", "G,X"), "promote"))
    assert _promote(served, served.second)["promoted"] == 5
    assert json.loads(served.moves[-1]["evidence"])["changed"] == 0.5


def test_models_that_no_longer_fit_are_all_changed(served: Line) -> None:
    _two_weeks(served, {"A,X": "promote"})
    served.declared = served.declared | {"features": {"columns": ["a", "b", "record", "c"], "buckets": 4}}
    with pytest.raises(NeedsApproval, match=r"100.0% of the champion's 4 groups"):
        _promote(served, served.second)
