"""Which landed files were ingested as they are now, and what is written down about the days that were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSystem

from muster.storage.provenance import NO_ROWS, Fact, file_digests, newest_facts
from muster.storage.store import Store


def deliveries(files: Mapping[date, str]) -> dict[date, str]:
    """Return day -> what tells one delivery of its landed file from another: size and time, without reading it."""
    return {day: _delivery(info) for day, info in _infos(files).items()}


def ingested_days(store: Store, landed: Mapping[date, str]) -> set[date]:
    """Return those of the days with `landed` files that were ingested, and whose file was not delivered again since.

    The newest fact of a day says which delivery it was, also where its rows were rewritten since; an ingest that was
    killed before it wrote a fact leaves the older one. Of a day that another Muster ingested there is none: it is taken
    as it is, unless its landed file is younger than its rows.
    """
    facts, written = newest_facts(store, "observations"), written_at(store)
    there = {day for day in landed if day in written or _has_no_rows(facts.get(day.isoformat()))}

    def is_brought(day: date, info: FileInfo) -> bool:
        fact = facts.get(day.isoformat())
        if fact is None:
            return info.mtime_ns is not None and bool(info.mtime_ns // 1_000_000 <= written[day])
        return bool(fact.made_from["delivery"] == _delivery(info))

    infos = _infos({day: landed[day] for day in there})
    return {day for day, info in infos.items() if is_brought(day, info)}


def written_at(store: Store) -> dict[date, int]:
    """Return each day of `observations` that has rows -> when the oldest of its files was written, in milliseconds."""
    table = store.open("observations")
    if table is None:
        return {}
    times: dict[date, int] = {}
    for file in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        day, at = date.fromisoformat(str(file["partition.date"])), file["modification_time"]
        times[day] = min(at, times.get(day, at))
    return times


def _has_no_rows(fact: Fact | None) -> bool:
    """Return whether the day was ingested, and nothing of it was accepted, or its file is a header only."""
    return fact is not None and not fact.files


def _infos(files: Mapping[date, str]) -> dict[date, FileInfo]:
    places = {day: FileSystem.from_uri(file) for day, file in files.items()}
    return {day: system.get_file_info(path) for day, (system, path) in places.items()}


def _delivery(info: FileInfo) -> str:
    return f"{info.size} bytes, {info.mtime_ns}"


def day_facts(
    store: Store, delivered: Mapping[date, str], content: Mapping[date, str], version: int | None = None
) -> list[Fact]:
    """Return what is to be written down about days that were ingested at a version, from their deliveries' `content`.

    A day without content has no row: nothing of it was accepted, or its file is a header only.
    """
    files = file_digests(store, "observations", version)
    facts = []
    for day, delivery in delivered.items():
        name, digest = day.isoformat(), content.get(day, NO_ROWS)
        facts.append(Fact("observations", name, files.get(name, ""), {name: digest}, {"delivery": delivery}))
    return facts
