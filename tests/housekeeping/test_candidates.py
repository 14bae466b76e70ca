"""Which runs' candidates stay, and what is said to who wants others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from muster.evaluation.candidates import NotTrained, read_candidates
from muster.housekeeping.sweep import sweep
from muster.models.build import BadSource
from muster.models.manifest_reader import REMOVED
from muster.storage.tables import LEDGER
from tests.housekeeping.conftest import WEEKS, aged, promote_weeks
from tests.promotion.conftest import A, B, C, Line, Registry

pytestmark = pytest.mark.slow


def _left(registry: Registry) -> set[str]:
    """Return the partitions of which candidates are there."""
    folder = Path(registry.store.uri(registry.store.packs))
    return {path.parent.name[:10] for path in folder.glob("2*/*.bin")}


@pytest.fixture
def packs(grouped: Line) -> Registry:
    """Five weeks that were promoted, all files of them old, of a pack, of which one run is to be kept."""
    registry = Registry(grouped.root, {**grouped.declared, "registry": "pack"}, grouped.name)
    registry.declared |= {"housekeeping": {"keep": 1}}
    promote_weeks(registry)
    return registry


def test_of_settled_runs_those_of_the_last_partitions_stay(packs: Registry) -> None:
    aged(packs.root)
    sweep(packs.context)
    assert _left(packs) == {WEEKS[4]}


def test_a_run_that_was_not_judged_stays(packs: Registry) -> None:
    packs.train("2024-03-11", {A: 6.0})
    packs.train("2024-03-18", {A: 7.0})
    aged(packs.root)
    sweep(packs.context)
    assert _left(packs) == {"2024-03-11", "2024-03-18"}
    packs.train(WEEKS[1], {A: 8.0, B: 8.0})  # again, to another run
    aged(packs.root)
    sweep(packs.context)
    assert _left(packs) == {WEEKS[1], "2024-03-11", "2024-03-18"}


@pytest.mark.parametrize(
    ("verdict", "mode", "stays"),
    [("promote", "enabled", True), ("promote", "dry_run", False), ("reject", "enabled", False)],
)
def test_a_judged_run_stays_as_long_as_its_winners_may_be_promoted(
    packs: Registry, verdict: str, mode: str, stays: bool
) -> None:
    packs.week("2024-03-11", {A: verdict, B: "reject", C: "hold"}, 6.0, "5")
    packs.week("2024-03-18", {A: "reject"}, 7.0, "5")
    packs.declared |= {"gate": {"baseline": "record", "resample": "row", "mode": mode}}
    aged(packs.root)
    sweep(packs.context)
    assert _left(packs) == {"2024-03-18", *({"2024-03-11"} if stays else ())}
    if stays:
        assert packs.promote("2024-03-11")["moved"]
        aged(packs.root)
        sweep(packs.context)
        assert _left(packs) == {"2024-03-18"}


def test_a_winner_that_a_later_champion_has_overtaken_is_settled(packs: Registry) -> None:
    packs.week("2024-03-11", {A: "promote"}, 6.0, "5")
    packs.week("2024-03-18", {A: "promote"}, 7.0, "5")
    packs.promote("2024-03-18")
    aged(packs.root)
    sweep(packs.context)
    assert _left(packs) == {"2024-03-18"}


def test_who_judges_or_promotes_candidates_that_went_is_told(packs: Registry) -> None:
    aged(packs.root)
    ledger = {"partition": WEEKS[1], "group": A, "state": "trained", "bucket": 0}
    models = packs.store.open("models")
    assert models is not None
    run = next(move["run"] for move in packs.moves if move["partition"] == WEEKS[1])
    rows: Any = [{**ledger, "group": group, "run": run} for group in (A, B, C)]
    packs._replace("ledger", pa.Table.from_pylist(rows, LEDGER), WEEKS[1])
    aged(packs.root)
    sweep(packs.context)
    with pytest.raises(NotTrained, match=rf"the models of run '{run}' are not there: housekeeping removed it on .*"):
        read_candidates(packs.at(WEEKS[1]), [])
    packs.declared |= {"housekeeping": {"keep": 12}}
    packs.week("2024-03-11", {A: "promote"}, 6.0, "5")
    aged(packs.root)
    packs.declared |= {"housekeeping": {"keep": 1}}
    packs.train("2024-03-18", {A: 7.0})
    for shard in Path(packs.store.uri(packs.store.packs)).glob("2024-03-11*/*.bin"):
        shard.with_name(REMOVED).write_text('{"at": "2024-04-01T00:00", "why": "as it was old"}')
        shard.unlink()
    with pytest.raises(BadSource, match="housekeeping removed it on 2024-04-01, as it was old"):
        packs.promote("2024-03-11")


def test_of_a_run_that_stays_no_leftover_shard_does(packs: Registry) -> None:
    [folder] = Path(packs.store.uri(packs.store.packs)).glob(f"{WEEKS[4]}-*")
    (folder / "0123.bin").write_bytes(b"of a killed task")
    aged(packs.root)
    sweep(packs.context)
    assert not (folder / "0123.bin").exists()
    assert _left(packs) == {WEEKS[4]}
