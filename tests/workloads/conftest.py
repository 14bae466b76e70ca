"""The declared workloads with their data landed once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from muster.context import Context
from muster.ingest.landing import land
from muster.ingest.sources.kinds import source_of
from muster.storage.store import Store
from muster.workload.load import find_workload
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster_local import PROJECT
from tests.landed import check_days

FOLDER = PROJECT / "include" / "workloads"


class Landed:
    """A workload, and its landed days as ingest would accept them."""

    def __init__(self, name: str, root: Path) -> None:
        self.workload: Workload = find_workload(name, FOLDER)
        self.store = Store(str(root), name)
        land(Context(self.workload, FOLDER, self.store))
        self.days = sorted(source_of(Context(self.workload, FOLDER, self.store)).days())

    def observations(self, days: DateRange) -> pa.Table:
        """Return the accepted rows of `days`."""
        return check_days(Context(self.workload, FOLDER, self.store), days.days()).rows


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Landed]:
    """Return a function that lands a workload's data, once."""
    return cache(lambda name: Landed(name, tmp_path_factory.mktemp(name)))
