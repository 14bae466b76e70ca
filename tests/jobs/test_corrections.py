"""Ingest and features on real Spark, day after day: what is corrected or declared anew reaches what was made of it."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from muster.context import Context
from muster.features.made_from import Sources
from muster.ingest.migration import migrate
from muster.storage.evolution import OtherColumns
from muster.storage.store import Store
from muster.workload.load import load_workload
from muster_jobs import features, ingest
from tests.jobs.conftest import MakeJob

pytestmark = pytest.mark.spark

DECLARED = """
keys: [depot]
time: at
unique: [id]
columns: {id: string, depot: string, courier: int, at: timestamp, kg: "float?", late: "float?"}
label: {column: late, above: 0}
features: {columns: [kg, late_before], lookback: 1, buckets: 2}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 2, evaluate: 1}
gate: {resample: row}
schedule: {start: 2024-01-08, every: 1}
"""
OWN = """
import pandas as pd


def features(rows):
    late = rows.groupby(["group", "date"])["late"].sum()
    before = pd.MultiIndex.from_arrays([rows["group"], rows["date"] - pd.Timedelta(days=1)])
    return rows.assign(late_before=late.reindex(before).fillna(0.0).to_numpy())[["kg", "late_before"]]
"""


class Days:
    """Days that are landed and brought into the tables, one job after another."""

    def __init__(self, folder: Path, make_job: MakeJob) -> None:
        self.folder, self.make_job, self.store = folder, make_job, Store(str(folder), "made")
        (folder / "made.py").write_text(OWN)
        self.declare(DECLARED)

    @property
    def context(self) -> Context:
        return Context(load_workload(self.folder / "made.yaml"), self.folder, self.store)

    def declare(self, text: str) -> None:
        (self.folder / "made.yaml").write_text(text)

    def land(self, day: int, late: tuple[object, object], weather: str | None = None) -> None:
        lines = ["id,depot,courier,at,kg,late"]
        lines += [f"{day}-{who},north,{who},2024-01-{day:02}T10:00:00,1.5,{late[who]}" for who in (0, 1)]
        if weather:
            lines = [f"{line},{value}" for line, value in zip(lines, ("weather", weather, weather), strict=True)]
        file = Path(self.store.uri(self.store.landing)) / f"2024-01-{day:02}.csv.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))

    def run(self, day: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run ingest and features of a day; return their results."""
        yaml, partition = self.folder / "made.yaml", date(2024, 1, day)
        first, then = (self.make_job(stage, yaml, partition, self.folder) for stage in ("ingest", "features"))
        return ingest.run(first), features.run(then)

    def rows(self, table: str = "features") -> dict[str, dict[str, Any]]:
        rows = DeltaTable(self.store.table(table)).to_pyarrow_table().to_pylist()
        by_id = {row["row_id"]: row for row in rows}
        assert len(by_id) == len(rows)
        return by_id


def test_what_is_landed_or_declared_anew_reaches_all_that_was_made_of_it(make_job: MakeJob, tmp_path: Path) -> None:
    days = Days(tmp_path, make_job)

    days.land(8, (0, 0))
    days.land(9, (1, ""))
    days.run(8)
    days.run(9)
    assert {name: row["late_before"] for name, row in days.rows().items()} == dict.fromkeys(
        ("8-0", "8-1", "9-0", "9-1"), 0
    )

    days.land(8, (1, 1))  # corrected; only its own partition is run again
    ingested, built = days.run(8)
    assert (ingested["days"], built["slices"], built["rebuilt"]) == (1, 2, {"other rows of 2024-01-08": 1})
    assert {name: row["late_before"] for name, row in days.rows().items()} == {"8-0": 0, "8-1": 0, "9-0": 2, "9-1": 2}
    assert days.rows()["8-0"]["label"] == 1

    files = {action["path"] for action in _files(days.store) if action["partition.partition"] == "2024-01-08"}
    days.land(9, (1, 1))  # its second label is known only now; the next day's ingest sees it
    days.land(10, (0, 0))
    ingested, built = days.run(10)
    assert (ingested["days"], built["slices"], built["rebuilt"]) == (2, 2, {"other rows of 2024-01-09": 1})
    assert (days.rows()["9-1"]["label"], days.rows()["10-0"]["late_before"]) == (1, 2)
    assert files <= {action["path"] for action in _files(days.store)}  # no slice was touched without need

    more = DECLARED.replace("keys: [depot]", "keys: [depot, courier]").replace("late: ", 'weather: "string?", late: ')
    days.declare(more)
    days.land(11, (0, 0), weather="rain")
    _, built = days.run(11)
    assert built["rebuilt"] == {"other columns, other keys": 3}
    assert {row["group"] for row in days.rows().values()} == {"north,0", "north,1"}
    weather = {name: row["weather"] for name, row in days.rows("observations").items()}
    assert {weather[name] for name in ("11-0", "11-1")} == {"rain"}
    assert {weather[name] for name in weather if not name.startswith("11")} == {None}

    days.declare(more.replace("courier: int", "courier: string"))
    before = DeltaTable(days.store.table("observations")).version()
    with pytest.raises(OtherColumns, match="'courier' is int64 in the table, string declared"):
        days.run(11)
    assert DeltaTable(days.store.table("observations")).version() == before
    migrate(days.context)
    _, built = days.run(11)
    assert built["rows"] == 8
    assert {row["courier"] for row in days.rows("observations").values()} == {"0", "1"}


def test_another_unique_reaches_the_features_once_the_rows_of_before_have_its_ids(
    make_job: MakeJob, tmp_path: Path
) -> None:
    days = Days(tmp_path, make_job)
    days.land(8, (0, 1))
    days.land(9, (1, 0))
    days.run(8)
    days.run(9)

    days.declare(DECLARED.replace("unique: [id]", "unique: [id, courier]"))
    with pytest.raises(Exception, match=r"2024-01-08 have other ids than 'unique: \[id, courier\]' .*migrate made"):
        days.run(9)  # its own day is ingested anew
    migrate(days.context)
    _, built = days.run(9)
    assert built["rebuilt"] == {"other columns in 'unique', other rows of 2024-01-08": 1}
    assert set(days.rows()) == set(days.rows("observations")) == {"8-0,0", "8-1,1", "9-0,0", "9-1,1"}

    days.declare(DECLARED)
    with pytest.raises(Exception, match=r"2024-01-08 have other ids than 'unique: \[id\]'"):
        days.run(9)


def test_the_same_rows_under_other_ids_are_other_rows(make_job: MakeJob, tmp_path: Path) -> None:
    days = Days(tmp_path, make_job)
    days.land(8, (0, 1))
    days.run(8)
    content = Sources.now(days.context).contents
    days.declare(DECLARED.replace("unique: [id]", "unique: [id, courier]"))
    days.land(8, (0, 1))
    days.run(8)
    assert Sources.now(days.context).contents != content
    assert set(days.rows()) == {"8-0,0", "8-1,1"}


def _files(store: Store) -> list[dict[str, Any]]:
    return pa.table(DeltaTable(store.table("features")).get_add_actions(flatten=True)).to_pylist()
