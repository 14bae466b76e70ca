"""Which landed files were ingested as they are now, and what is written down about the days that were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyarrow.fs import FileSystem

from muster.storage.provenance import NO_ROWS, Fact, file_digests, read_facts
from muster.storage.store import Store


def deliveries(files: Mapping[date, str]) -> dict[date, str]:
    """Return day -> what tells one delivery of its landed file from another: size and time, without reading it."""
    places = {day: FileSystem.from_uri(file) for day, file in files.items()}
    known = {day: system.get_file_info(path) for day, (system, path) in places.items()}
    return {day: f"{info.size} bytes, {info.mtime_ns}" for day, info in known.items()}


def ingested_days(store: Store, landed: Mapping[date, str]) -> set[date]:
    """Return those of the days with `landed` files that were ingested, and whose file was not delivered again since.

    Of a day that another Muster ingested it is not known which delivery it was: it is taken as it is.
    """
    files = file_digests(store, "observations")
    facts = read_facts(store, "observations", files)
    there = {day: day.isoformat() for day in landed if day.isoformat() in files.keys() | facts.keys()}
    now = deliveries({day: landed[day] for day, name in there.items() if name in facts})
    return {day for day, name in there.items() if name not in facts or facts[name].made_from["delivery"] == now[day]}


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
