"""What a promotion tells where not all of it can be noted or shown."""

from __future__ import annotations

import pytest

from muster.mlflow.client import connect
from muster.mlflow.runs import open_runs
from muster.promotion import promoted
from muster.promotion.verdicts import read_verdicts
from tests.promotion.conftest import Line

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("form", ["served", "grouped"])
def test_what_was_carried_out_stays_so_though_its_run_was_deleted(
    form: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    line: Line = request.getfixturevalue(form)
    line.week(line.first, {"A,X": "promote"}, 1.0)
    [run_id] = open_runs(line.workload, read_verdicts(line.at(line.first)).run, ["logistic"]).values()
    first = line.promote(line.first)
    connect().delete_run(run_id)
    again = line.promote(line.first)
    assert (first["mlflow_runs_deleted"], again["mlflow_runs_deleted"]) == ([], [run_id])
    for name in ("moved", "reason", "promoted", "stay"):
        assert again[name] == first[name]
    assert f"the MLflow run '{run_id}' was deleted: what was promoted of it is not noted there" in caplog.text


def test_why_a_group_stays_is_in_the_log_where_the_result_has_no_room(
    grouped: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promoted, "SHOWN", 1)
    grouped.week(grouped.second, dict.fromkeys(("B,X", "C,X"), "promote"), 1.0)
    grouped.promote(grouped.second)
    grouped.week(grouped.first, dict.fromkeys(("A,X", "B,X", "C,X"), "promote"), 2.0)
    assert grouped.promote(grouped.first)["promoted"] == 1
    result = grouped.promote(grouped.first)
    why = f"the champion is of a later partition, {grouped.second}"
    assert (result["stay"], result["stay_why"]) == (3, {"B,X": why})  # A,X, promoted before, tells nothing new
    logged = [record.message for record in caplog.records if record.name == promoted.__name__]
    assert logged == [f"group 'C,X' stays as it is: {why}"] * 2
