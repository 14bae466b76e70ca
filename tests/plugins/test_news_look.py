"""The trigger's look at each kind of source; a database it knows by Airflow's connection, and nobody else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from muster.settings import settings
from muster.settings.connections import variable
from muster_airflow.triggers.news import look
from tests.ingest.arriving import FIRST, OF_KIND, Arriving, week
from tests.plugins.airflow_task import WORKLOAD


@pytest.mark.parametrize("kind", OF_KIND)
def test_it_sees_what_has_arrived_and_what_was_corrected(
    home: Path, workload: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = Arriving(Path(settings().store_root), kind)
    arriving.folder.mkdir(parents=True, exist_ok=True)
    source = yaml.safe_dump({"source": OF_KIND[kind], "arrivals": {}})
    workload.write_text(WORKLOAD + source, encoding="utf-8")
    monkeypatch.setenv("AIRFLOW_CONN_RIDES_DB", f'{{"conn_type": "sqlite", "host": "{arriving.database}"}}')
    arriving.deliver(*week(FIRST))
    ((partition, cause, _),) = look(str(workload))
    assert (partition, cause) == (str(FIRST), "arrival")
    with monkeypatch.context() as patch:
        patch.setenv(variable("rides_db"), f"sqlite:///{arriving.database}")
        arriving.ingest(FIRST)
    assert look(str(workload)) == frozenset()
    arriving.deliver(FIRST, rows=2)
    ((partition, cause, _),) = look(str(workload))
    assert (partition, cause) == (str(FIRST), "correction")
    assert variable("rides_db") not in os.environ
