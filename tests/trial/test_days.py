"""Which days `./muster try` reads from the table and which from their files: what the next run would see."""

from __future__ import annotations

import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from muster.context import Context
from muster.ingest.refusals import TooManyRefused, check_refused
from muster.ingest.row_checks import check_day
from muster.storage.provenance import Fact, write_facts
from muster.storage.tables import features_schema
from muster.workload.load import load_workload


def landing(home: Any, day: str | date) -> Path:
    return Path(home.store.uri(home.store.landing), f"{day}.csv.gz")


def test_a_day_that_was_delivered_again_is_read_from_its_file_as_the_next_ingest_will(home: Any) -> None:
    home.ingest()
    before, file = home.tried(), landing(home, "2024-01-30")
    rows = pd.read_csv(file)
    rows.query("place != 'north' or line != 1 or at > '2024-01-30T12'").to_csv(file, index=False)
    write_facts(home.store, [Fact("observations", "2024-01-30", "", {}, {"delivery": "the one before"})])
    trial = home.tried()
    assert (trial["source"], trial["delivered_again"]) == ("observations, version 0, and 1 landed file", ["2024-01-30"])
    assert before["windows"]["evaluate"]["rows"] - trial["windows"]["evaluate"]["rows"] == 6
    assert "delivered again since ingest, so read from the source as the next ingest will: 2024-01-30" in home.run()[1]


def test_files_of_days_that_were_ingested_as_they_are_are_not_read(home: Any) -> None:
    home.ingest()
    before = home.tried()
    table = DeltaTable(home.store.table("observations"))
    table.delete("date = '2024-01-30'")
    for file in Path(home.store.uri(home.store.landing)).glob("*.csv.gz"):
        if "2024-01-30" not in file.name:
            file.write_bytes(b"no gzip")
            os.utime(file, (0, 0))
    trial = home.tried()
    assert trial["source"] == "observations, version 1, and 1 landed file"
    assert (trial["decision"], trial["delivered_again"]) == (before["decision"], [])


def test_days_that_have_not_landed_are_named(home: Any) -> None:
    assert home.tried()["not_landed"] == []
    days = [f"2024-01-{day}" for day in (15, 16, 17, 18, 19, 31)]
    for day in days:
        landing(home, day).unlink()
    assert home.tried()["not_landed"] == days
    shown = " ".join(home.run()[1].split())
    assert f"not landed, 6 days of the windows and their lookback: {', '.join(days[:5])} and 1 more window" in shown


@pytest.mark.parametrize("ingested", [False, True])
def test_a_group_that_the_next_run_would_skip_as_stale_says_so(home: Any, ingested: bool) -> None:
    """Whose rows end on 21 January, of days that came up to 4 February, but for two."""
    for day in range(1, 35):
        file = landing(home, date(2024, 1, 1) + timedelta(days=day - 1))
        rows = pd.read_csv(file)
        rows.query(f"{day} <= 21 or place != 'calm'").to_csv(file, index=False)
    for day in ("2024-02-03", "2024-02-04"):
        landing(home, day).unlink()
    if ingested:
        for day in ("2024-02-03", "2024-02-04"):
            pd.read_csv(landing(home, "2024-01-31")).head(0).to_csv(landing(home, day), index=False)
        home.ingest()
    home.declare(yaml=lambda yaml: f"{yaml}freshness: {{stale_after: 12}}\n")
    assert home.tried(group="calm,1")["stale_since"] == "2024-01-21"
    assert home.tried(group="north,1")["stale_since"] is None
    skipped = "the next `train` would skip this group as stale, by `freshness.stale_after`: no observation since"
    assert f"{skipped} 2024-01-21" in " ".join(home.run(group="calm,1")[1].split())
    home.declare(yaml=lambda yaml: f"{yaml}freshness: {{stale_after: 13}}\n")  # 12 days have come since
    assert home.tried(group="calm,1")["stale_since"] is None


def test_a_file_under_another_name_is_told_beside_the_day_that_lacks_it(home: Any) -> None:
    landing(home, "2024-01-20").rename(landing(home, "20240120"))
    shown = " ".join(home.run()[1].split())
    assert "lookback: 2024-01-20; passed over, since a file is named as 2024-01-08.csv.gz: 20240120.csv.gz" in shown


def test_a_table_of_features_with_other_columns_is_told_as_the_next_run_will(home: Any) -> None:
    home.ingest()
    DeltaTable.create(home.store.table("features"), features_schema(home.context.workload))
    assert home.tried()["next_run_fails"] is None
    home.declare(yaml=lambda yaml: yaml.replace("baseline: hour}", "baseline: hour, resample: at}"))
    why = "the next run of `features` will fail: trains: the table of features has other columns than are declared now"
    assert why in " ".join(home.run()[1].split())


def test_where_nothing_landed_the_folder_is_told_to_put_files_in(fresh: Any) -> None:
    fresh.declare(yaml=lambda yaml: yaml.replace("landing: deliver\n", ""))
    _, _, err = fresh.run()
    assert f"nothing landed in '{fresh.store.uri(fresh.store.landing)}', where a day is 2024-01-08.csv.gz" in err


def test_a_day_of_which_ingest_refuses_too_many_rows_is_refused_with_its_message(home: Any) -> None:
    file = landing(home, "2024-01-30")
    rows = pd.read_csv(file)
    rows.loc[rows["place"] != "north", "warm"] = 99.0
    rows.to_csv(file, index=False)
    home.declare(yaml=lambda yaml: yaml.replace("time: at", "time: at\nmax_refused: 0.49"))
    code, out, err = home.run()
    context = Context(load_workload(home.folder / "trains.yaml"), home.folder, home.store)
    reasons = Counter(check_day(context, date(2024, 1, 30))["reason"].to_pylist())
    with pytest.raises(TooManyRefused) as refused:
        check_refused(context.workload, {date(2024, 1, 30): reasons})
    assert (code, out) == (1, "")
    assert str(refused.value) in err
    assert "trains refuses 32 of 64 rows of 2024-01-30: warm: above 50 (32); max_refused allows" in err


def test_rows_that_were_ingested_under_other_keys_are_of_the_group_that_they_are_of_now(home: Any) -> None:
    expected = home.tried()
    home.declare(yaml=lambda yaml: yaml.replace("keys: [place, line]", "keys: [place]"))
    home.ingest()
    home.declare()
    trial = home.tried()
    assert trial["source"] == "observations, version 0"
    assert (trial["windows"], trial["decision"]) == (expected["windows"], expected["decision"])
    assert "of 4 groups the nearest are: 'north,1', 'north,2'" in home.run(group="nort,1")[2]


@pytest.mark.parametrize("group", ["north,one", "north,01", "north,99999999999999999999"])
def test_a_key_that_is_no_value_of_its_type_is_no_groups(home: Any, group: str) -> None:
    home.ingest()
    code, _, err = home.run(group=group)
    assert (code, f"no row of group '{group}' in trains" in err) == (2, True)
