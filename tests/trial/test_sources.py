"""`./muster try` on files of other formats: the very verdict that those of csv give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.databases import Database


def test_parquet_of_several_files_a_day_gives_the_same_trial(home: Any, tmp_path: Path) -> None:
    of_csv = home.tried()
    for file in Path(home.store.uri(home.store.landing)).glob("*.csv.gz"):
        rows = pd.read_csv(file, parse_dates=["at"])
        folder = tmp_path / "lake" / f"date={file.name[:10]}"
        folder.mkdir(parents=True)
        for number in (1, 2):
            rows.iloc[number - 1 :: 2].to_parquet(folder / f"{number}.parquet", index=False)
    source = f'source: {{files: "{tmp_path}/lake/date={{date}}/*.parquet"}}'
    home.declare(yaml=lambda yaml: yaml.replace("landing: deliver", source))
    trial = home.tried()
    assert (trial["decision"], trial["windows"]) == (of_csv["decision"], of_csv["windows"])
    assert trial["source"] == of_csv["source"].replace("28", "56")
    (tmp_path / "lake" / "date=2024-01-20").rename(tmp_path / "lake" / "2024-01-20")
    shown = " ".join(home.run()[1].split())
    assert "2024-01-20; passed over, since a file is named as date=2024-01-08/*.parquet: 2024-01-20" in shown


@pytest.mark.slow
def test_rows_of_a_database_give_the_same_trial_and_only_the_groups_own_are_asked_for(
    home: Any, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muster.ingest.sources import sql

    of_csv, taken, read = home.tried(), set[str](), sql.values_batch
    files = (
        pd.read_csv(file, parse_dates=["at"]) for file in Path(home.store.uri(home.store.landing)).glob("*.csv.gz")
    )
    pd.concat(files).to_sql("trains", postgres.engine, index=False)
    select = "SELECT * FROM trains WHERE at >= :start AND at < :end"
    source = f'source: {{sql: "{select}", connection: orders_db}}'
    home.declare(yaml=lambda yaml: yaml.replace("landing: deliver", source))

    def noted(workload: Any, rows: Any) -> Any:
        taken.update(f"{row[0]},{row[1]}" for row in rows)
        return read(workload, rows)

    monkeypatch.setattr(sql, "values_batch", noted)
    trial = home.tried()
    assert (trial["decision"], trial["windows"]) == (of_csv["decision"], of_csv["windows"])
    assert (trial["source"], taken) == ("28 SQL days", {"north,1"})
    code, _, error = home.run(group="north,7")
    assert (code, "no row of group 'north,7' in trains" in error, "north,1" in error) == (2, True, True)
    monkeypatch.delenv("MUSTER_CONNECTION_ORDERS_DB")
    code, _, error = home.run()
    assert (code, "set MUSTER_CONNECTION_ORDERS_DB to a SQLAlchemy URL" in " ".join(error.split())) == (1, True)
