"""What nearly every function is about: a workload and its store, and the dates of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.load import find_workload, load_workload
from muster.workload.spec import Workload
from muster.workload.windows import PartitionWindows, partition_windows


@dataclass(frozen=True)
class Context:
    """A workload, where its files are and where its data are. Plain data: it travels to the executors."""

    workload: Workload
    folder: Path
    """The folder of its YAML and Python file."""
    store: Store

    @classmethod
    def named(cls, name: str, settings: Settings) -> Context:
        """Return the context of the workload called `name`.

        Raises:
            UnknownName: when no file of `settings.workloads` bears the name.
            WorkloadError: when its file does not hold.
        """
        workload = find_workload(name, settings.workloads)
        return cls(workload, settings.workloads, Store(settings.store_root, workload.name))

    @classmethod
    def of_file(cls, file: Path, settings: Settings) -> Context:
        """Return the context of the workload that `file` declares.

        Raises:
            WorkloadError: when it does not hold.
        """
        workload = load_workload(file)
        return cls(workload, file.parent, Store(settings.store_root, workload.name))

    def at(self, partition: str) -> PartitionContext:
        """Return the context of one partition.

        Raises:
            NotAPartition: when `partition` is no date that starts a slice of the schedule.
        """
        windows = partition_windows(self.workload, partition)
        return PartitionContext(self.workload, self.folder, self.store, windows)


@dataclass(frozen=True)
class PartitionContext(Context):
    """One partition of a workload."""

    windows: PartitionWindows

    @property
    def partition(self) -> str:
        """The partition's key: `2013-05-06`."""
        return self.windows.key
