"""The declared workloads with their data landed once a session."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from muster.context import Context
from muster.ingest.landing import land
from muster.ingest.sources.kinds import source_of
from muster.storage.store import Store
from muster.workload.functions import function
from muster.workload.load import find_workload
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from muster_local import PROJECT
from tests.kept import fill
from tests.landed import check_days

FOLDER = PROJECT / "include" / "workloads"


class Landed:
    """A workload, and its landed days as ingest would accept them."""

    def __init__(self, name: str, factory: pytest.TempPathFactory) -> None:
        self.workload: Workload = find_workload(name, FOLDER)
        self.store = Store(str(factory.mktemp(name)), name)
        if self.workload.landing:
            deliver = function(self.workload, FOLDER, self.workload.landing).__code__
            same = f"{deliver.co_filename} {deliver.co_name} {list(self.workload.columns)}"  # two deliver the flights
            what = f"landed_{hashlib.sha256(same.encode()).hexdigest()[:16]}"
            fill(
                Path(self.store.uri(self.store.landing)),
                what,
                lambda: land(Context(self.workload, FOLDER, self.store)),
                factory,
            )
        self.days = sorted(source_of(Context(self.workload, FOLDER, self.store)).days())

    def observations(self, days: DateRange) -> pa.Table:
        """Return the accepted rows of `days`."""
        return check_days(Context(self.workload, FOLDER, self.store), days.days()).rows


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Landed]:
    """Return a function that lands a workload's data, once."""
    return cache(lambda name: Landed(name, tmp_path_factory))
