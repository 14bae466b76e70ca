"""Which results of jobs are of no use any more: those that newer ones of the same stage and partition stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from muster.housekeeping.inventory import RESULT
from muster.storage.files import Listed
from muster.storage.results import PUT_OFF, read_result
from muster.storage.store import Store

MOVES = ("promote", "rollback")
"""Stages whose every result stays that tells of a move: by those of `promote` a lost journal is noticed."""


def old_results(store: Store, results: Iterable[Listed]) -> list[Listed]:
    """Return the results but the newest of each partition and stage that came to its end, and those of moves.

    One that cannot be read stays.
    """
    by_partition: dict[tuple[str, str], list[Listed]] = {}
    for file in results:
        named = RESULT.fullmatch(file.path.removeprefix(f"{store.all_results}/"))
        if named is not None:
            by_partition.setdefault((named["stage"], named["partition"] or ""), []).append(file)
    old: list[Listed] = []
    for (stage, _), files in by_partition.items():
        ended = False
        for file in sorted(files, key=lambda file: (file.modified, file.path), reverse=True):
            report = _read(store, file) if not ended or stage in MOVES else {}
            if report is None or (stage in MOVES and report.get("moved")):
                ended = ended or report is not None
            elif not ended and PUT_OFF not in report:  # else it was put off, and ran again
                ended = True
            else:
                old.append(file)
    return old


def _read(store: Store, file: Listed) -> dict[str, Any] | None:
    try:
        return read_result(store, file.path)
    except (FileNotFoundError, ValueError):
        return None
