"""No outcome at all, from landed files to alerts: every figure as pandas and scikit-learn have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.storage.store import Store
from muster_jobs import evaluate, features, ingest, promote, score, train
from tests import valves
from tests.jobs.conftest import MakeJob

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = (ingest, features, train, evaluate, promote, score)


@pytest.mark.parametrize(("registry", "labelled"), [("pack", True), ("per_group", False)])
def test_verdicts_and_alerts_are_those_of_an_independent_computation(
    make_job: MakeJob, registry_settings: str, tmp_path: Path, registry: str, labelled: bool
) -> None:
    yaml, store = valves.declare(tmp_path, registry, labelled), Store(str(tmp_path), valves.NAME)
    valves.land(store)
    results = {}
    for partition in (valves.FIRST, valves.SECOND):
        for stage in STAGES:
            name = stage.__name__.rpartition(".")[2]
            results[name] = stage.run(make_job(name, yaml, partition, tmp_path))
        valves.check(store, partition, labelled)
        weeks = [valves.between(valve, partition, partition + valves.timedelta(days=7)) for valve in ("north", "south")]
        alerts = [valves.answers(rows, rows["valve"].iloc[0], valves.FIRST) > 0 for rows in weeks]
        assert results["score"]["alerts"] == sum(int(of.sum()) for of in alerts)
    assert ("positives" in results["train"], results["evaluate"]["metric"]) == (False, "mass_volume")
    assert (results["evaluate"]["report"] is not None) == labelled
