"""What lies in a workload's folders of the store, and what each file is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from muster.models.build import SHARDS
from muster.models.manifest_reader import MANIFEST_FILE, REMOVED
from muster.storage.files import Listed
from muster.storage.staying import GOING
from muster.storage.store import Store
from muster.storage.tables import TABLES

Kind = Literal["manifests", "champion_shards", "candidate_shards", "results", "leftovers", "notes", "unknown"]

PACK = re.compile(r"champion-[0-9a-f]{12}")
RUN = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{8}")
LEFT = re.compile(r"\.(champion|bundle)-[^/]+")
"""A temporary folder of an older Muster, which published a pack by renaming it."""
SHARD = re.compile(r"[^/]+\.bin")
RESULT = re.compile(r"(?P<stage>[^/]+)/(?P<partition>\d{4}-\d{2}-\d{2}(?=-))?[^/]*\.json")


@dataclass(frozen=True)
class Inventory:
    """All files of a workload that may be removed, and those that nobody knows."""

    packs: Mapping[Kind, list[Listed]]
    """Those below the folder of packs."""
    results: Mapping[Kind, list[Listed]]
    tables: Mapping[str, Mapping[str, Listed]]
    """Table -> path below it -> the file."""
    strangers: list[Listed]
    """Files of the folder of tables that are of no table."""

    @property
    def unknown(self) -> list[str]:
        """The paths of files that Muster did not write, or of which it does not know that it did."""
        found = [*self.packs.get("unknown", ()), *self.results.get("unknown", ()), *self.strangers]
        return sorted(file.path for file in found)

    def of(self, kind: Kind) -> list[Listed]:
        """Return the files of a kind."""
        return [*self.packs.get(kind, ()), *self.results.get(kind, ())]


def inventory(store: Store) -> Inventory:
    """List a workload's packs, results and tables; its landed files are nobody's but who delivers them."""
    tables: dict[str, dict[str, Listed]] = {}
    strangers = []
    for file in store.files.listed(store.tables):
        table, _, path = file.path.removeprefix(f"{store.tables}/").partition("/")
        if table in TABLES:
            tables.setdefault(table, {})[path] = file
        else:
            strangers.append(file)
    packs = _by_kind(store, store.packs, _kind_of_pack_file)
    return Inventory(packs, _by_kind(store, store.all_results, _kind_of_result), tables, strangers)


def _by_kind(store: Store, below: str, kind_of: Callable[[str], Kind]) -> dict[Kind, list[Listed]]:
    kinds: dict[Kind, list[Listed]] = {}
    for file in store.files.listed(below):
        kinds.setdefault(kind_of(file.path.removeprefix(f"{below}/")), []).append(file)
    kinds.setdefault("leftovers", []).extend(store.files.half_written(below))
    return kinds


def _kind_of_pack_file(path: str) -> Kind:
    folder, _, name = path.rpartition("/")
    if LEFT.match(path) or path.endswith(GOING) or folder.endswith(GOING):  # the former is of an older Muster
        return "leftovers"
    if name == REMOVED and (PACK.fullmatch(folder) or RUN.fullmatch(folder)):
        return "notes"
    if PACK.fullmatch(folder) and name == MANIFEST_FILE:
        return "manifests"
    if SHARD.fullmatch(name) and (PACK.fullmatch(folder) or folder == SHARDS):
        return "champion_shards"
    return "candidate_shards" if SHARD.fullmatch(name) and RUN.fullmatch(folder) else "unknown"


def _kind_of_result(path: str) -> Kind:
    if path.endswith(".tmp"):  # of an older Muster
        return "leftovers"
    return "results" if RESULT.fullmatch(path) else "unknown"
