"""Packs that are written over others, and those of before, whose shards are beside their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.housekeeping.sweep import sweep
from muster.models.build import missing_of, pack_folder
from muster.models.manifest_reader import about
from muster.promotion import promoted
from muster.promotion.rollback_plan import CannotRollBack
from muster.storage.files import Files
from tests.housekeeping.conftest import aged, make_weeks, promote_weeks, slopes
from tests.packs import manifest_of
from tests.promotion.conftest import A, B, C, Killed, Line, Registry
from tests.promotion.test_older_packs import SHARDS, _older

pytestmark = pytest.mark.slow


@pytest.fixture
def pack(grouped: Line) -> Registry:
    """A pack of which the last promotion can be taken back."""
    declared = {**grouped.declared, "registry": "pack", "housekeeping": {"keep": 1}}
    return Registry(grouped.root, declared, grouped.name)


def _manifests(pack: Registry) -> list[bool]:
    """Return of each champion whether its manifest is there; all its models are then."""
    folders = [Path(pack.store.uri(pack_folder(pack.store, move["manifest_sha256"]))) for move in pack.moves]
    there = [(folder / "manifest.parquet").exists() for folder in folders]
    for move, is_there in zip(pack.moves, there, strict=True):
        assert not is_there or missing_of(pack.store, move["manifest_sha256"]) == []
    return there


def test_a_manifest_that_one_that_stays_is_written_over_stays_with_its_models(pack: Registry) -> None:
    pack.declared |= {"pack": {"mlflow_bytes": 0}}
    promote_weeks(pack)
    digest = pack.moves[-1]["manifest_sha256"]
    under = [path for path, _ in about(manifest_of(pack.store, pack_folder(pack.store, digest), digest))["under"]]
    assert under
    aged(pack.root)
    sweep(pack.context)
    there = _manifests(pack)
    assert there[-2:] == [True, True]
    assert not all(there)
    assert all(Path(pack.store.uri(path)).exists() for path in under)
    assert slopes(pack) == [5.0, 3.0, 1.0]
    assert pack.roll_back("4")["moved"]
    assert slopes(pack) == [4.0, 3.0, 1.0]


def test_of_manifests_that_go_none_is_left_without_those_that_it_is_written_over(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack.declared |= {"pack": {"mlflow_bytes": 0}}
    promote_weeks(pack)
    pack.declared |= {"pack": {"mlflow_bytes": 2**26}}  # written whole from then on
    for number, week in enumerate(("2024-03-11", "2024-03-18")):
        pack.week(week, {A: "promote", B: "promote", C: "promote"}, 6.0 + number, pack.position())
        pack.promote(week)
    delete = Files.delete

    def dies(files: Files, path: str) -> None:
        delete(files, path)
        raise Killed

    for _ in range(100):
        aged(pack.root)
        with monkeypatch.context() as patched:
            patched.setattr(Files, "delete", dies)
            try:
                sweep(pack.context)
                break
            except Killed:
                _manifests(pack)
    assert _manifests(pack) == [False] * 5 + [True, True]


def test_shards_beside_an_older_packs_manifest_stay_while_a_newer_pack_names_them(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = promoted.build_pack
    older: list[Any] = []

    def first_of_before(*given: Any) -> Any:
        built = build(*given)
        if not older:
            older.append(_older(pack, built))
            return older[0]
        return built

    monkeypatch.setattr(promoted, "build_pack", first_of_before)
    make_weeks(pack, 5)  # which no other test has
    folder = Path(pack.store.uri(older[0].folder))
    aged(pack.root)
    sweep(pack.context)
    assert _manifests(pack) == [False, False, False, True, True]
    assert slopes(pack) == [5.0, 3.0, 1.0]
    named = {path.name for path in folder.glob("*.bin")}
    assert named < set(SHARDS)
    assert named == {"shard-001.bin"}  # C's, which nothing has replaced
    with pytest.raises(CannotRollBack, match="housekeeping removed it"):
        pack.roll_back("1")
    pack.week("2024-03-11", {C: "promote"}, 6.0, "5")
    pack.promote("2024-03-11")
    pack.week("2024-03-18", {C: "promote"}, 7.0, "6")
    pack.promote("2024-03-18")
    aged(pack.root)
    sweep(pack.context)
    assert list(folder.glob("*.bin")) == []
