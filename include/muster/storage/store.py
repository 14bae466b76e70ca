"""Where a workload's tables, landed files, packs and results are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Store:
    """The folder (or object store prefix) of one workload's data."""

    root: str
    workload: str

    def table(self, name: str) -> str:
        """Return the path or URI of the Delta table `name`."""
        return f"{self.root}/tables/{self.workload}/{name}"

    def landing(self) -> str:
        """Return the folder that files are delivered to."""
        return f"{self.root}/landing/{self.workload}"

    def packs(self) -> str:
        """Return the folder of candidates' shards and of champion packs."""
        return f"{self.root}/packs/{self.workload}"

    def results(self, stage: str) -> str:
        """Return the folder of a stage's result files."""
        return f"{self.root}/results/{self.workload}/{stage}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """Open the Delta table `name` with delta-rs, or return None when nothing was written to it yet."""
        from deltalake import DeltaTable

        location = self.table(name)
        return DeltaTable(location, version=version) if DeltaTable.is_deltatable(location) else None

    def days(self, name: str) -> set[date]:
        """Return the days that a table partitioned by `date` holds rows of."""
        table = self.open(name)
        return {date.fromisoformat(values["date"]) for values in table.partitions()} if table else set()
