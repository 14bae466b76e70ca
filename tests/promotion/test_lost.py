"""Files that somebody deleted in MLflow's artifact store: told, put back from the store, or let go of."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from io import StringIO
from math import exp
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from muster.champions.errors import ALIAS, AliasMoved, CannotLoad
from muster.champions.in_store import champion_in_store
from muster.champions.journal import Journal
from muster.champions.misplaced import misplaced
from muster.champions.opened import opponents, scorers
from muster.cli import main
from muster.errors import WrongArgument
from muster.evaluation.decisions import CorruptChampion
from muster.mlflow.client import connect
from muster.models.bundle import files_of_model, files_of_pack
from muster.models.loading import CorruptModel
from muster.promotion import rollback
from muster.promotion.difference_text import view
from muster.promotion.rollback_plan import CannotRollBack
from muster.settings import settings
from muster_jobs import score
from muster_jobs.job import Job
from muster_local import PROJECT
from tests.packs import manifest_of
from tests.promotion import tampering
from tests.promotion.conftest import A, B, C, Killed, Registry, dying, stored
from tests.promotion.history import declare
from tests.registry.which import ON_BOTH

pytestmark = pytest.mark.slow
WON = {A: "promote", B: "promote"}
ANSWER = 1 / (1 + exp(-1.0))
"""Of the first week's model, asked by `stranger`."""


def week(registry: Registry, partition: str, slope: float, against: str) -> None:
    """Promote A and B."""
    registry.week(partition, WON, slope, registry.judged(A=against, B=against))
    registry.promote(partition)


def begin(registry: Registry) -> None:
    """Promote A and B in the first week."""
    registry.begin((registry.first, WON, 1.0, None))


def named(registry: Registry) -> list[str]:
    """Return B where it is a registered model of its own."""
    return [] if registry.workload.registry == "pack" else [B]


def bundle(registry: Registry, artifact_store: Path, version: str, group: str = B) -> Path:
    """Return the folder of MLflow's artifact store that a version of a group's model, or the pack, is in."""
    source = str(connect().get_model_version(registry.unit(group).name, version).source)
    folder = stored(artifact_store, Path(source.removeprefix("models:/")).name)
    return folder / "artifacts" if registry.workload.registry == "pack" else folder


def shards(registry: Registry) -> list[Path]:
    """Return what training has left of all models, and of packs."""
    return list(Path(registry.store.uri(registry.store.packs)).rglob("*.bin"))


def stranger(registry: Registry) -> float:
    """Return what B's champion answers to those who know nothing of Muster."""
    model = mlflow.pyfunc.load_model(f"models:/{registry.unit(B).name}@{ALIAS}")
    row = {"carrier": "B", "origin": "X", "a": 1.0, "b": 0.0, "record": 0.5}
    asked = pd.DataFrame([row if registry.workload.registry == "pack" else dict(list(row.items())[2:])])
    return float(model.predict(asked)["score"][0])


def test_the_files_that_are_missed_are_all_that_an_upload_brings(registry: Registry, artifact_store: Path) -> None:
    begin(registry)
    champion, folder = registry.champion(B), bundle(registry, artifact_store, "1")
    assert champion is not None
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    pack = registry.workload.registry == "pack"
    assert there == (
        files_of_pack(champion.place, manifest_of(registry.store, champion.place, champion.digest))
        if pack
        else files_of_model()
    )


@pytest.mark.parametrize(
    ("registry_server", "gone"),
    [("fake", "all"), ("fake", "MLmodel"), ("fake", "model"), ("real", "all")],  # files are kept by the same code
    indirect=["registry_server"],
)
def test_the_present_version_gets_its_files_again_from_the_store(
    registry: Registry, artifact_store: Path, gone: str
) -> None:
    begin(registry)
    folder, rows = bundle(registry, artifact_store, "1"), len(registry.moves)
    assert stranger(registry) == pytest.approx(ANSWER)
    for file in {"all": [folder], "MLmodel": [folder / "MLmodel"], "model": list(folder.rglob("*.bin"))}[gone]:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    with pytest.raises(Exception, match=r"."):
        stranger(registry)

    plan = registry.plan("1", named(registry))
    assert (plan.difference["uploads_again"], plan.difference["nothing_to_do"], plan.changes) == (1, False, [])
    result = registry.roll_back("1", named(registry))
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "1", "1")
    assert "in MLflow again" in result["now"]
    assert registry.versions(A, B) == ["1", "1"]
    row = registry.moves[-1]
    assert (row["cause"], row["from_version"], row["to_version"], row["who"]) == ("rollback", "1", "1", "ann")
    assert (json.loads(row["evidence"])["uploads_again"], len(registry.moves)) == (1, rows + 1)
    assert stranger(registry) == pytest.approx(ANSWER)
    assert registry.slopes(registry.second, A, B) == [1.0, 1.0]

    again = registry.roll_back("1", named(registry))
    assert (again["moved"], len(registry.moves)) == (False, rows + 1)
    assert registry.plan("1", named(registry)).difference["uploads_again"] == 0
    judged = registry.judged(A="1", B="1")
    registry.week(registry.second, {A: "promote", B: "promote"}, 2.0, judged)  # who put it back has chosen nothing
    assert registry.promote(registry.second)["moved"]
    assert registry.slopes(registry.third, A, B) == [2.0, 2.0]


def test_all_present_champions_get_what_mlflow_has_lost_of_them(registry: Registry, artifact_store: Path) -> None:
    begin(registry)
    pack = registry.workload.registry == "pack"
    for folder in {bundle(registry, artifact_store, "1"), bundle(registry, artifact_store, "1", A)}:
        shutil.rmtree(folder)
    difference = registry.plan("present").difference
    view(registry.name, difference, out := StringIO())
    what = "the pack" if pack else "2 models (A,X, B,X)"
    assert f"files of {what} are gone in MLflow: they are uploaded again, as the store has them" in out.getvalue()
    assert registry.roll_back("present")["moved"]
    assert stranger(registry) == pytest.approx(ANSWER)
    assert registry.slopes(registry.second, A, B) == [1.0, 1.0]
    assert not registry.roll_back("present")["moved"]
    registry.week(registry.second, {A: "promote"}, 2.0, registry.judged(A="1"))
    registry.promote(registry.second)
    connect().set_registered_model_alias(registry.unit(A).name, ALIAS, "1")
    assert registry.roll_back("present")["to_version"] == "2"  # by the journal, whatever a hand did
    assert (registry.versions(A), misplaced(registry.store)) == (["2"], [])


def test_an_earlier_version_whose_files_are_gone_is_gone_back_to(registry: Registry, artifact_store: Path) -> None:
    begin(registry)
    week(registry, registry.second, 2.0, "1")
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    result = registry.roll_back("1", named(registry))
    assert (result["moved"], result["to_version"], result["uploads_again"]) == (True, "1", 1)
    assert registry.slopes(registry.third, B) == [1.0]
    assert stranger(registry) == pytest.approx(ANSWER)


def test_without_a_version_and_without_an_earlier_one_it_says_what_to_run(registry: Registry) -> None:
    begin(registry)
    one = "".join(f" --group '{group}'" for group in named(registry))
    with pytest.raises(
        CannotRollBack,
        match=rf"`\./muster rollback {registry.name}{one} --to 1` uploads .*, where MLflow has lost them",
    ):
        registry.plan(None, named(registry))


def test_one_that_was_deleted_too_is_registered_again_with_its_files(registry: Registry, artifact_store: Path) -> None:
    begin(registry)
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    connect().delete_model_version(registry.unit(B).name, "1")
    assert registry.roll_back("1", named(registry))["to_version"] == "2"
    assert registry.slopes(registry.second, B) == [1.0]
    assert stranger(registry) == pytest.approx(ANSWER)


BROKEN_OFF: list[tuple[Any, str]] = [(Journal, "append"), (rollback, "_upload_again"), (Journal, "note_made")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "step"), BROKEN_OFF, ids=[step for _, step in BROKEN_OFF])
def test_an_upload_broken_off_anywhere_is_made_and_journalled_once(
    registry: Registry, artifact_store: Path, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, after: bool
) -> None:
    begin(registry)
    rows = len(registry.moves)
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            registry.roll_back("1", named(registry))
    registry.roll_back("1", named(registry))
    assert (len(registry.moves), registry.journal.pending) == (rows + 1, [])
    assert stranger(registry) == pytest.approx(ANSWER)
    assert not registry.roll_back("1", named(registry))["moved"]


def test_bytes_of_the_store_that_are_not_the_versions_are_not_uploaded(
    registry: Registry, artifact_store: Path
) -> None:
    begin(registry)
    folder = bundle(registry, artifact_store, "1")
    shutil.rmtree(folder)
    for shard in shards(registry):
        shard.write_bytes(bytes(len(shard.read_bytes())))
    why = "has sha256" if registry.workload.registry == "pack" else "'B,X', version 1, is lost"
    with pytest.raises(CannotRollBack, match=why):
        registry.plan("1", named(registry))
    assert not folder.exists()


@pytest.fixture
def grouped_registry(registry: Registry) -> Registry:
    """A registered model for each group, and a first week."""
    begin(registry)
    return registry


GROUPED = pytest.mark.parametrize("registry", ["per_group"], indirect=True)


def _stages(registry: Registry) -> dict[str, Callable[[], Any]]:
    return {"score": lambda: registry.slopes(registry.second, A, B), **tampering.readers(registry)}


@GROUPED
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_who_cannot_load_a_groups_champion_names_the_command_that_helps(
    grouped_registry: Registry, artifact_store: Path, how: str
) -> None:
    registry = grouped_registry
    registry.slopes(registry.second, B)
    file = bundle(registry, artifact_store, "1") / "artifacts" / "model.bin"
    file.unlink() if how == "gone" else file.write_bytes(b"another")
    helps = rf"`\./muster rollback {registry.name} --group 'B,X' --to 1`"
    with pytest.raises(CannotLoad, match=rf"group 'B,X', champion version 1, .*{helps} uploads it again"):
        _stages(registry)["score"]()
    with pytest.raises(CorruptChampion, match=rf"champion version 1: .* 'B,X'; nothing was decided: {helps}"):
        _stages(registry)["evaluate"]()
    registry.roll_back("1", [B])
    _stages(registry)["evaluate"]()
    assert registry.slopes(registry.second, A, B) == [1.0, 1.0]


@pytest.mark.parametrize("registry", ["pack"], indirect=True)
def test_a_pack_that_the_store_has_lost_comes_back_from_mlflow(registry: Registry, artifact_store: Path) -> None:
    begin(registry)
    for shard in shards(registry):
        shard.unlink()
    with pytest.raises(CorruptModel, match=r"'[AB],X'"):
        registry.slopes(registry.first, A, B)
    with pytest.raises(
        CorruptChampion, match=rf"put their files back or roll back, `\./muster rollback {registry.name}`"
    ):
        tampering.readers(registry)["evaluate"]()


@GROUPED
def test_a_model_that_is_lost_for_good_is_named_with_both_ways_on(
    grouped_registry: Registry, artifact_store: Path
) -> None:
    registry = grouped_registry
    kept = {shard: shard.read_bytes() for shard in shards(registry)}
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    for shard in kept:
        shard.unlink()
    again, leave = (rf"`\./muster rollback {registry.name} --group 'B,X' --to {to}`" for to in ("1", "none"))
    lost = rf"'B,X', version 1, is lost: neither MLflow nor the store .*train for partition {registry.first} again: "
    with pytest.raises(CannotRollBack, match=rf"{lost}.*{again} uploads them; else {leave} leaves the group without"):
        registry.plan("1", [B])
    registry.train(registry.first, {A: 1.0, B: 1.0})  # the same data, so the same bytes
    assert registry.roll_back("1", [B])["moved"]
    assert registry.slopes(registry.second, A, B) == [1.0, 1.0]


@GROUPED
def test_a_deleted_version_whose_training_vouches_for_other_bytes_does_not_come_back(
    grouped_registry: Registry, artifact_store: Path
) -> None:
    registry = grouped_registry
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    connect().delete_model_version(registry.unit(B).name, "1")
    tampering.write_models(registry, {"rows": 7})
    with pytest.raises(CannotRollBack, match=r"version 1 .* no longer registered, and .* does not vouch for what"):
        registry.plan("1", [B])


@GROUPED
@ON_BOTH
def test_a_group_left_without_a_champion_lets_the_others_go_on_and_wins_its_next(
    grouped_registry: Registry, artifact_store: Path
) -> None:
    registry = grouped_registry
    registry.slopes(registry.second, B)
    shutil.rmtree(bundle(registry, artifact_store, "1"))
    plan = registry.plan("none", [B])
    assert (plan.difference["disappears"], plan.difference["groups"], plan.difference["fallback"]) == (1, 1, "baseline")
    result = rollback.roll_back(registry.context, plan, "ann", "its files are gone")
    assert (result["moved"], result["from_version"], result["to_version"]) == (True, "1", None)
    assert result["now"] == f"1 group of {registry.name} has no champion"
    row = registry.moves[-1]
    assert (row["group"], row["from_version"], row["to_version"], row["cause"]) == (B, "1", "none", "rollback")
    assert (registry.versions(A, B), misplaced(registry.store)) == (["1", None], [])
    assert registry.champion(B) is None
    assert not registry.roll_back("none", [B])["moved"]

    assert registry.slopes(registry.second, A, B) == [1.0, 0.0]  # the fallback answers
    champions = opponents(registry.at(registry.second))
    assert champions is not None
    with champions.open([A, B]) as opened:
        assert dict(opened.versions) == {A: "1"}
    assert champion_in_store(registry.at(registry.second), B) is None
    run = registry.week(registry.second, {A: "reject", B: "promote"}, 2.0, registry.judged(A="1", B=None))
    assert registry.promote(registry.second)["promoted"] == 1
    assert (registry.versions(A, B), registry.moves[-1]["run"]) == (["1", "2"], run)
    for partition, slopes in ((registry.first, [1.0, 0.0]), (registry.third, [1.0, 2.0])):
        assert registry.slopes(partition, A, B) == slopes  # what it came of ends there
    with pytest.raises(CannotRollBack, match="there was no champion before"):
        registry.roll_back(None, [B])


@GROUPED
def test_that_a_group_has_no_champion_is_undone_by_a_rollback(grouped_registry: Registry) -> None:
    registry = grouped_registry
    for to in ("1", None):
        registry.roll_back("none", [A, B])
        assert scorers(registry.at(registry.second)) is None
        result = score.run(Job("score", registry.at(registry.second), settings(), "try"))
        assert "there is no champion yet" in result["skipped_because"]
        for group in (A, B):
            assert registry.roll_back(to, [group])["to_version"] == "1"
        assert registry.slopes(registry.second, A, B) == [1.0, 1.0]


@GROUPED
def test_the_same_run_does_not_take_the_place_of_a_human_who_left_a_group_without(grouped_registry: Registry) -> None:
    registry = grouped_registry
    registry.roll_back("none", [B])
    stays = registry.promote(registry.first)["stay_why"]
    assert "ann moved the alias to no version (bad scores) since" in stays[B]
    run = registry.train(registry.first, {A: 1.5, B: 1.5, C: 1.5})  # mended data: another run
    registry.decide(registry.first, run, {B: "promote"}, registry.judged(B=None))
    assert registry.promote(registry.first)["moved"]


@GROUPED
def test_an_alias_set_by_hand_after_a_group_was_left_without_is_told(grouped_registry: Registry) -> None:
    registry = grouped_registry
    registry.roll_back("none", [B])
    connect().set_registered_model_alias(registry.unit(B).name, ALIAS, "1")
    [wrong] = misplaced(registry.store)
    assert isinstance(wrong, AliasMoved)
    assert "is at version 1, the journal says version none" in str(wrong)
    assert registry.roll_back("none", [B])["moved"]
    assert misplaced(registry.store) == []
    connect().set_registered_model_alias(registry.unit(B).name, ALIAS, "1")
    assert registry.roll_back("1", [B])["moved"]  # written down
    assert (misplaced(registry.store), registry.slopes(registry.second, B)) == ([], [1.0])


@GROUPED
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["append", "move_alias", "note_made"])
def test_leaving_a_group_without_broken_off_anywhere_ends_the_same(
    grouped_registry: Registry, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    registry = grouped_registry
    module: Any = rollback if step == "move_alias" else Journal
    against = registry.plan("none", [B]).against
    with monkeypatch.context() as patched:
        patched.setattr(module, step, dying(getattr(module, step), after))
        with pytest.raises(Killed):
            registry.roll_back("none", [B], against)
    assert registry.roll_back("none", [B], against)["moved"]
    assert (registry.versions(A, B), registry.journal.pending) == (["1", None], [])
    assert [row["to_version"] for row in registry.moves].count("none") == 1


@GROUPED
def test_groups_are_named_that_are_left_without_a_champion(grouped_registry: Registry) -> None:
    with pytest.raises(WrongArgument, match="'none' leaves groups without a champion; name them"):
        grouped_registry.plan("none")


def _commands() -> list[str]:
    """Return the commands of the runbook's section, in order."""
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.partition("\n## A model's file is gone in MLflow\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```bash\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


def test_the_commands_of_the_runbook_do_what_it_says(
    registry: Registry, artifact_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(registry)
    monkeypatch.setenv("MUSTER_STORE", str(registry.root))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(declare(registry, registry.root / "workloads").parent))
    settings.cache_clear()
    name = "flight_delays" if registry.workload.registry == "pack" else "fx_spread"
    printed = []
    for line in (line for line in _commands() if f" {name} " in line):
        if "--dry-run" not in line and "none" not in line:
            shutil.rmtree(bundle(registry, artifact_store, "1"), ignore_errors=True)
        words = [{name: registry.name, "EUR/USD": B}.get(word, word) for word in shlex.split(line)]
        with pytest.raises(SystemExit) as exit_info:
            main(words[1:])
        printed.append(capsys.readouterr().out.splitlines()[-1])
        assert (exit_info.value.code or 0) == 0, line
        if "none" not in line and "--dry-run" not in line:
            assert stranger(registry) == pytest.approx(ANSWER)
    if name == "flight_delays":
        assert [line.partition(" now, by")[0] for line in printed] == [
            f"Champion of {registry.name} is version 1, its files in MLflow again"
        ]
    else:
        assert [line.partition(" now, by")[0] for line in printed[1:]] == [
            *[f"1 group of {registry.name} has all files of the champion in MLflow again"] * 2,
            f"1 group of {registry.name} has no champion",
        ]


@GROUPED
def test_a_group_left_without_a_champion_does_not_go_back_with_the_others(grouped_registry: Registry) -> None:
    registry = grouped_registry
    week(registry, registry.second, 2.0, "1")
    registry.roll_back("none", [B])
    assert registry.roll_back()["to_version"] == "1"
    assert registry.versions(A, B) == ["1", None]
