"""A sweep beside who promotes, rolls back and trains: what they name is never gone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from muster.housekeeping import sweep as sweeping
from muster.housekeeping.sweep import sweep
from muster.models.build import SHARDS, missing_of, pack_folder
from muster.models.shards import ShardWriter, encode
from muster.promotion import rollback
from muster.promotion.promote import PackSwept
from muster.promotion.rollback_plan import CannotRollBack
from muster.storage.staying import GOING, write_to_stay
from tests.housekeeping.conftest import aged, promote_weeks, slopes
from tests.promotion.conftest import A, B, Line, Registry

pytestmark = pytest.mark.slow
ROUNDS, SLOPES = 12, 5


@pytest.fixture
def pack(grouped: Line) -> Registry:
    """A pack that one promotion is to be kept of."""
    registry = Registry(grouped.root, {**grouped.declared, "registry": "pack"}, grouped.name)
    registry.declared |= {"housekeeping": {"keep": 1}}
    return registry


def _paths(registry: Registry, digest: str) -> list[Path]:
    folder = Path(registry.store.uri(pack_folder(registry.store, digest)))
    shards = Path(registry.store.uri(registry.store.packs), "shards").glob("*.bin")
    return [folder / "manifest.parquet", *shards]


def test_what_a_promotion_comes_to_again_counts_as_young(pack: Registry) -> None:
    built = pack.pack({A: 1.0, B: 1.0})
    paths = _paths(pack, built.sha256)
    aged(pack.root)
    assert pack.pack({A: 1.0, B: 1.0}) == built
    assert all(time.time() - path.stat().st_mtime < 60 for path in paths)
    written = [path.stat().st_mtime_ns for path in paths]
    assert pack.pack({A: 1.0, B: 1.0}) == built
    assert [path.stat().st_mtime_ns for path in paths] == written  # young: nothing is written


def test_a_pack_that_is_built_as_it_is_swept_is_never_promoted_without_its_files(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round promotes a model whose shard is there already, old and unneeded: the sweep goes for it."""
    promote_weeks(pack)
    delete = sweeping.Files.delete
    chance, swept_under = random.Random(5), 0

    def slowly(files: Any, path: str) -> None:
        time.sleep(chance.random() * 0.02)  # between the last look at a file's age and its end
        delete(files, path)

    monkeypatch.setattr(sweeping.Files, "delete", slowly)
    for number in range(ROUNDS):
        week = str(date(2024, 3, 11) + timedelta(weeks=number))
        pack.week(week, {A: "promote"}, 1.0 + number % SLOPES, pack.position())
        with ShardWriter(pack.store.files, f"{pack.store.packs}/{SHARDS}") as shard:
            shard.add(encode(pack.model(1.0 + number % SLOPES)))
        aged(pack.root)
        run = _in_thread(lambda: sweep(pack.context), chance.random() * 0.3)
        try:
            moved = pack.promote(week)["moved"]
        except PackSwept:
            swept_under += 1
            moved = pack.promote(week)["moved"]
        run()
        assert moved
        assert missing_of(pack.store, pack.moves[-1]["manifest_sha256"]) == []
        assert slopes(pack, "2025-12-29")[0] == 1.0 + number % SLOPES


def _in_thread(work: Callable[[], Any], after: float) -> Callable[[], None]:
    problems: list[BaseException] = []

    def run() -> None:
        time.sleep(after)
        try:
            work()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join() -> None:
        thread.join()
        assert problems == []

    return join


def _sweep_before_moves(pack: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    append = rollback._append

    def swept_first(*arguments: Any) -> None:
        sweep(pack.context)
        append(*arguments)

    monkeypatch.setattr(rollback, "_append", swept_first)


def test_a_rollback_to_what_is_not_kept_any_more_and_not_swept_yet_keeps_it(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_weeks(pack)
    aged(pack.root)
    plan = pack.plan("2")
    _sweep_before_moves(pack, monkeypatch)
    assert rollback.roll_back(pack.context, plan, "ann", "bad scores")["moved"]
    assert slopes(pack) == [2.0, 1.0, 1.0]


def test_a_rollback_to_what_is_swept_meanwhile_moves_nothing(pack: Registry) -> None:
    promote_weeks(pack)
    aged(pack.root)
    plan = pack.plan("2")
    sweep(pack.context)
    with pytest.raises(CannotRollBack, match=r"were removed a moment ago: .*nothing was moved"):
        rollback.roll_back(pack.context, plan, "ann", "bad scores")
    assert (pack.position(), len(pack.moves)) == ("5", 5)


def test_groups_that_go_back_to_an_older_pack_take_its_models_along(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_weeks(pack)
    aged(pack.root)
    plan = pack.plan("2", [A])
    _sweep_before_moves(pack, monkeypatch)
    assert rollback.roll_back(pack.context, plan, "ann", "bad scores")["moved"]
    aged(pack.root)
    sweep(pack.context)
    assert slopes(pack) == [2.0, 3.0, 1.0]


def test_a_deletion_that_comes_late_takes_nothing_that_a_promotion_has_written_since(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an object store may carry it out: after the promotion's own look at what it refers to."""
    promote_weeks(pack)
    week, delete, begun, promoted = "2024-03-11", sweeping.Files.delete, threading.Event(), threading.Event()
    pack.week(week, {A: "promote"}, 1.0, pack.position())
    with ShardWriter(pack.store.files, f"{pack.store.packs}/{SHARDS}") as shard:
        shard.add(encode(pack.model(1.0)))
    aged(pack.root)

    def late(files: Any, path: str) -> None:
        if path == shard.path:
            begun.set()
            promoted.wait(2)
        delete(files, path)

    monkeypatch.setattr(sweeping.Files, "delete", late)
    ended = _in_thread(lambda: sweep(pack.context), 0)
    assert begun.wait(30)
    assert pack.promote(week)["moved"]
    promoted.set()
    ended()
    assert missing_of(pack.store, pack.moves[-1]["manifest_sha256"]) == []
    assert slopes(pack)[0] == 1.0


def test_two_sweeps_at_once_remove_what_one_would_and_neither_fails(
    pack: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_weeks(pack)
    aged(pack.root)
    planned = sweep(pack.context, dry_run=True).report()["removed"]
    together, delete = threading.Barrier(2), sweeping.Files.delete

    def slowly(files: Any, path: str) -> None:
        time.sleep(0.005)
        delete(files, path)

    monkeypatch.setattr(sweeping.Files, "delete", slowly)
    reports: list[dict[str, Any]] = []

    def one() -> None:
        together.wait(30)
        reports.append(sweep(pack.context).report()["removed"])

    ended = [_in_thread(one, 0) for _ in range(2)]
    for end in ended:
        end()
    counted = {kind: [report.get(kind, 0) for report in reports] for kind in ("manifests", "champion_shards")}
    assert all(max(each) <= planned[kind] <= sum(each) for kind, each in counted.items())
    assert not any(sweep(pack.context, dry_run=True).report()["removed"].get(kind) for kind in counted)
    assert missing_of(pack.store, pack.moves[-1]["manifest_sha256"]) == []


def test_of_a_sweep_that_was_killed_nobody_waits_for_long(pack: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{pack.store.packs}/{SHARDS}/{'0' * 64}.bin"
    pack.store.files.put(f"{path}{GOING}/killed", b"")
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            aged(pack.root / pack.store.packs, 0.01)  # a quarter of an hour

    monkeypatch.setattr("muster.storage.staying.time.sleep", pause)
    write_to_stay(pack.store.files, path, b"bytes")
    assert (len(looks), pack.store.files.read(path)) == (3, b"bytes")
    pack.store.files.put(f"{pack.store.packs}/{SHARDS}/{'1' * 64}.bin{GOING}/killed", b"")
    pack.store.files.put(f"{pack.store.packs}/{SHARDS}/{'2' * 64}.bin{GOING}", b"")  # of an older Muster
    aged(pack.root)
    assert sweep(pack.context).report()["removed"]["leftovers"] == 3
    assert not list((pack.root / pack.store.packs).rglob(f"*{GOING}"))
