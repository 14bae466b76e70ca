"""What stays and what goes of champions and candidates, in both registries: files of a real store."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from muster.champions.errors import BadChampion, JournalGone
from muster.housekeeping.needed import NothingRemoved
from muster.housekeeping.sweep import sweep
from muster.models.build import missing_of, pack_folder
from muster.promotion.rollback_plan import CannotRollBack
from muster.storage.files import Files
from muster.storage.staying import GOING, remove_if
from tests.housekeeping.conftest import WEEKS, aged, files_of, promote_weeks, slopes
from tests.promotion.conftest import A, C, Killed, Registry
from tests.promotion.history import by_hand

pytestmark = pytest.mark.slow
PACK = pytest.mark.parametrize("registry", ["pack"], indirect=True)


def _whole(registry: Registry) -> None:
    """Check that every pack whose manifest is there has all its models."""
    digests = {move["manifest_sha256"] for move in registry.moves if move["group"] is None}
    for digest in digests:
        if Path(registry.store.uri(pack_folder(registry.store, digest)), "manifest.parquet").exists():
            assert missing_of(registry.store, digest) == []


def test_what_the_last_promotions_may_be_taken_back_to_stays_and_answers_as_before(swept: Registry) -> None:
    pack, before = swept.workload.registry == "pack", files_of(swept.root / swept.store.packs)
    report = sweep(swept.context).report()
    after = files_of(swept.root / swept.store.packs)
    assert {path: after[path] for path in after if "removed" not in path}.items() <= before.items()
    assert sum(report["removed"].values()) == len(before) - len([path for path in after if "removed" not in path])
    assert report["removed"]["candidate_shards"] > 0
    assert (report["removed"]["manifests"] == 2, report["removed"]["champion_shards"] > 0) == (pack, pack)
    assert slopes(swept) == [5.0, 3.0, 1.0]
    for version, slope in (("4", 4.0), ("3", 3.0)):
        assert swept.roll_back(version, [] if pack else [A])["moved"]
        assert slopes(swept) == [slope, 3.0, 1.0]
    _whole(swept)
    assert slopes(swept, WEEKS[3])[1:] == [3.0, 1.0]


def test_a_second_sweep_finds_nothing_more(swept: Registry) -> None:
    sweep(swept.context)
    aged(swept.root)
    before = files_of(swept.root)
    assert set(sweep(swept.context).report()["removed"].values()) == {0}
    assert files_of(swept.root) == before


@PACK
def test_beyond_them_it_is_said_that_housekeeping_removed_it(swept: Registry) -> None:
    sweep(swept.context)
    with pytest.raises(
        CannotRollBack, match=r"version 2: .* is not there: housekeeping removed it on 20.*last 2 promotions needs it"
    ):
        swept.roll_back("2")
    with pytest.raises(BadChampion, match=r"champion version 1 cannot be used: .*housekeeping removed it"):
        slopes(swept, WEEKS[0])
    with pytest.raises(CannotRollBack, match="housekeeping removed it"):
        swept.roll_back("1", [C])


def test_a_dry_run_says_the_same_and_removes_nothing(swept: Registry) -> None:
    before = files_of(swept.root)
    would = sweep(swept.context, dry_run=True).report()
    assert files_of(swept.root) == before
    did = sweep(swept.context).report()
    assert would.pop("dry_run") is True
    assert did.pop("dry_run") is False
    assert would == did
    assert sum(did["removed"].values()) > 0


def test_what_is_young_stays_whoever_needs_it(registry: Registry) -> None:
    registry.declared |= {"housekeeping": {"keep": 1}}
    promote_weeks(registry, 4)
    aged(registry.root, 6.9)
    assert set(sweep(registry.context).report()["removed"].values()) == {0}


def test_killed_at_any_deletion_and_run_again_it_ends_the_same(
    swept: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = shutil.copytree(swept.root, tmp_path.parent / f"{tmp_path.name}-copy")
    sweep(swept.context)
    end = set(files_of(swept.root / swept.store.packs))
    delete = Files.delete
    for deaths in range(100):
        shutil.rmtree(swept.root / swept.store.packs)
        shutil.copytree(copy / swept.store.packs, swept.root / swept.store.packs)
        left = [deaths]

        def dies(files: Files, path: str, left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            delete(files, path)

        with monkeypatch.context() as patched:
            patched.setattr(Files, "delete", dies)
            try:
                sweep(swept.context)
                break
            except Killed:
                _whole(swept)
                assert slopes(swept) == [5.0, 3.0, 1.0]
        sweep(swept.context)
        left_over = {name for name in files_of(swept.root / swept.store.packs) if GOING not in name}
        assert left_over == end
    assert deaths >= (4 if swept.workload.registry == "pack" else 1)
    shutil.rmtree(copy)


def test_without_its_journal_nothing_is_removed(swept: Registry) -> None:
    table = Path(swept.store.table("alias_journal"))
    table.rename(table.with_name("away"))
    before = files_of(swept.root)
    with pytest.raises(JournalGone):
        sweep(swept.context)
    assert files_of(swept.root) == before


@PACK
@pytest.mark.parametrize("how", ["altered", "gone"])
def test_where_a_pack_that_stays_cannot_be_read_nothing_is_removed(swept: Registry, how: str) -> None:
    digest = swept.moves[3]["manifest_sha256"]
    manifest = Path(swept.store.uri(pack_folder(swept.store, digest)), "manifest.parquet")
    manifest.write_bytes(b"else") if how == "altered" else manifest.unlink()
    before = files_of(swept.root)
    with pytest.raises(NothingRemoved, match="nothing was removed, since a pack that stays cannot be read"):
        sweep(swept.context)
    assert files_of(swept.root) == before


def test_more_is_kept_from_then_on_though_less_was_before(swept: Registry) -> None:
    sweep(swept.context)
    swept.declared |= {"housekeeping": {"keep": 12}}
    assert set(sweep(swept.context).report()["removed"].values()) == {0}


def test_the_line_that_a_rollback_went_back_to_stays(swept: Registry) -> None:
    pack = swept.workload.registry == "pack"
    assert swept.roll_back("2", [] if pack else [A])["moved"]
    aged(swept.root)
    sweep(swept.context)
    assert slopes(swept)[0] == 2.0
    assert swept.roll_back(None, [] if pack else [A])["to_version"] == "1"
    assert slopes(swept)[0] == 1.0


def test_files_that_nobody_knows_are_told_and_left(swept: Registry) -> None:
    strange = [f"{swept.store.packs}/notes.txt", f"results/{swept.name}/promote/a/b.json", f"tables/{swept.name}/x/y"]
    for path in (*strange, f"landing/{swept.name}/2024-02-05.csv.gz", "packs/other/shards/a.bin"):
        swept.store.files.put(path, b"strange")
    aged(swept.root)
    report = sweep(swept.context).report()
    assert (report["unknown"], report["unknown_files"]) == (3, ", ".join(sorted(strange)))
    assert files_of(swept.root).keys() >= {*strange, f"landing/{swept.name}/2024-02-05.csv.gz"}
    assert (swept.root / "packs/other/shards/a.bin").exists()


def test_what_was_left_half_written_goes_after_a_day(swept: Registry) -> None:
    left = [f"{swept.store.packs}/shards/.a.bin.12.part", f"{swept.store.packs}/.champion-12.part/shard-000.bin"]
    young = f"results/{swept.name}/promote/.a.json.12.part"
    for path in (*left, young):
        Path(swept.store.uri(path)).parent.mkdir(parents=True, exist_ok=True)
        Path(swept.store.uri(path)).write_bytes(b"half")
    aged(swept.root, 1.1)
    aged(Path(swept.store.uri(young)).parent, 0.9)
    assert sweep(swept.context).report()["removed"]["leftovers"] == 2
    assert [Path(swept.store.uri(path)).exists() for path in (*left, young)] == [False, False, True]


def test_of_results_the_newest_that_ended_stay_and_those_of_moves(registry: Registry) -> None:
    def result(path: str, report: Any, days: float) -> str:
        registry.store.files.put(path, json.dumps(report).encode())
        os.utime(registry.store.uri(path), (time.time() - days * 86400,) * 2)
        return path

    promote, train = registry.store.results("promote"), registry.store.results("train")
    stays = [
        result(f"{promote}/2024-02-05-a.json", {"moved": True}, 40),
        result(f"{promote}/2024-02-05-c.json", {"moved": False}, 20),
        result(f"{train}/2024-02-05-b.json", {"run": "2"}, 20),
        result(f"{train}/2024-02-12-a.json", {"run": "2"}, 20),
        result(f"{train}/2024-02-12-b.json", {"run": "3"}, 2),
        result(f"{registry.store.results('deadlines')}/told.json", {"channels": {}}, 40),
        result(f"{registry.store.results('await_data')}/2024-02-05-late.json", {"late": "no file"}, 40),
    ]
    goes = [
        result(f"{promote}/2024-02-05-b.json", {"moved": False}, 30),
        result(f"{train}/2024-02-05-a.json", {"run": "1"}, 30),
        result(f"{train}/2024-02-05-c.json", {"until": "2024", "why": "calls"}, 10),
    ]
    stays.remove(f"{train}/2024-02-12-a.json")
    goes.append(f"{train}/2024-02-12-a.json")
    promote_weeks(registry, 1)
    report = sweep(registry.context).report()
    assert (report["removed"]["results"], report["kept"]["results"]) == (len(goes), len(stays))
    assert not any(Path(registry.store.uri(path)).exists() for path in goes)
    assert all(Path(registry.store.uri(path)).exists() for path in stays)


@PACK
def test_of_a_champion_that_was_put_back_since_no_older_word_of_its_removal_counts(
    swept: Registry, tmp_path: Path
) -> None:
    packs = swept.root / swept.store.packs
    backup = shutil.copytree(packs, tmp_path.parent / f"{tmp_path.name}-backup")
    second = pack_folder(swept.store, swept.moves[1]["manifest_sha256"])
    swept.declared |= {"housekeeping": {"keep": 1}}
    sweep(swept.context)
    shutil.copytree(backup, packs, dirs_exist_ok=True)
    assert swept.roll_back("2")["moved"]
    aged(swept.root)
    Path(swept.store.uri(second), "manifest.parquet").unlink()
    before = files_of(packs)
    with pytest.raises(NothingRemoved, match="nothing was removed, since a pack that stays cannot be read"):
        sweep(swept.context)
    assert files_of(packs) == before
    shutil.rmtree(backup)


@PACK
def test_the_champion_stays_to_which_a_hand_has_moved_the_alias(swept: Registry) -> None:
    swept.declared |= {"housekeeping": {"keep": 1}}
    by_hand(swept, "1")
    sweep(swept.context)
    assert missing_of(swept.store, swept.moves[0]["manifest_sha256"]) == []
    assert missing_of(swept.store, swept.moves[1]["manifest_sha256"]) != []


def test_what_is_young_when_it_would_go_stays(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    for name in ("old", "young"):
        files.put(name, b"bytes")
    assert remove_if(files, "old", lambda _: True)
    assert not remove_if(files, "young", lambda file: not file.is_young)
    assert [file.path for file in files.listed()] == ["young"]
