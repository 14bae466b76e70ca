"""`./muster try` of rows without identifying columns, and of days in a time zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

UNIQUE, TIME = "unique: [place, line, at]", "time: at"


def test_rows_that_no_columns_identify_give_the_same_trial_from_files_and_from_the_table(home: Any) -> None:
    named = home.tried()
    home.declare(yaml=lambda yaml: yaml.replace(UNIQUE, "unique: row"))
    of_files = home.tried()
    home.ingest()
    of_table = home.tried()
    assert of_table["source"] == "observations, version 0"
    for trial in (of_files, of_table):
        assert (trial["decision"], trial["windows"]) == (named["decision"], named["windows"])
    home.declare()
    code, _, told = home.run()
    assert code != 0
    assert "have other ids than 'unique: [place, line, at]' gives them" in " ".join(told.split())


def test_days_are_those_of_the_zone_and_rows_that_were_read_in_another_are_refused(home: Any) -> None:
    in_utc = home.tried()
    home.declare(yaml=lambda yaml: yaml.replace(TIME, "time: {column: at, zone: America/New_York}"))
    in_zone = home.tried()  # the files say what the clocks there show
    assert in_zone["windows"] == in_utc["windows"]
    assert in_zone["refused"] == in_utc["refused"]
    home.ingest()  # as one that wrote nothing down about the zone
    for file in Path(home.store.uri(home.store.landing)).iterdir():
        file.unlink()
    code, _, told = home.run()
    assert code != 0
    assert "were read in the zone UTC, and declared is America/New_York now" in " ".join(told.split())
