"""The ingest job on real Spark: good rows in `observations`, bad ones in `quarantine`, a day run again replaced."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from muster import groups
from muster.errors import WrongArgument
from muster.features.compute import compute
from muster.ingest.due_days import NoFile
from muster.ingest.refusals import TooManyRefused
from muster.ingest.sources.files import BadFile
from muster.storage.query import read_rows
from muster.storage.store import Store
from muster.storage.tables import TABLES, observations_schema
from muster.workload.functions import function
from muster_jobs import features, ingest
from tests.jobs.conftest import MakeJob, table
from tests.landed import check_days

pytestmark = pytest.mark.spark

DECLARED = """
keys: [place, line]
time: at
columns:
  {place: string, line: string, at: timestamp, seats: "int?", delay: "float? [-60, 600]", reason: "string?",
   until: "timestamp?", built: "date?", open: "bool?"}
unique: [place, line, at]
label: {column: delay, above: 15}
features: {columns: [hour], lookback: 1, buckets: 7}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 1, evaluate: 1}
gate: {resample: row}
schedule: {start: 2024-01-01, every: 1}
max_refused: 1
"""
OWN = """
def features(rows):
    open = rows["open"].fillna(False)
    return (rows["seats"] * 10 // 4 + (~open).astype("Int64")).rename("hour").to_frame()
"""
COLUMNS = ("place", "line", "at", "seats", "delay", "reason", "until", "built", "open")
DAY = date(2024, 1, 5)
NASTY = [
    "plain",
    "../../x",
    "'; DROP TABLE observations; --",
    'say "no"',
    "a,b",
    "*",
    "",
    " padded",
    "padded\t",
    "\u00a0\u2003wide space",
    "line\nbreak",
    "carriage\r",
    "ünïcödé \U0001f6eb 日本",
    "e\u0301 and \u00e9",
    "x" * 300,
    "back\\slash%_`$",
    "null",
    "\x1fcontrol",
]


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text(OWN)
    (tmp_path / "made.yaml").write_text(DECLARED)
    return tmp_path / "made.yaml"


def put(store: Store, rows: Iterable[Sequence[object]], day: date = DAY) -> None:
    """Land a day's rows, of which the last columns may be left out: `""` is the empty text, None an empty field."""
    whole = [COLUMNS, *([*row, *[None] * (len(COLUMNS) - len(row))] for row in rows)]
    lines = [",".join("" if value is None else _quoted(str(value)) for value in row) for row in whole]
    path = Path(store.uri(store.landing)) / f"{day}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def at(hour: int, day: date = DAY) -> str:
    return f"{day}T{hour:02}:00:00"


def test_any_key_is_a_group_with_the_name_and_bucket_that_python_gives(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    put(job.store, [(place, line, at(6), None, None, None) for place in NASTY for line in ("1", "*")])
    assert ingest.run(job)["accepted"] == 2 * len(NASTY)
    rows = table(job, "observations")
    assert {(row["place"], row["line"]) for row in rows} == {(place, line) for place in NASTY for line in ("1", "*")}
    for row in rows:
        name = groups.name((row["place"], row["line"]))
        assert (row["group"], row["bucket"]) == (name, groups.bucket(name, 7))
        assert groups.values(row["row_id"]) == (row["place"], row["line"], "2024-01-05 06:00:00")


BAD = {
    "line: missing": ("a", None, at(6), None, None, None),
    "at: missing": ("b", "1", None, None, None, None),
    "at: not of type timestamp": ("c", "1", "yesterday", None, None, None),
    "seats: not of type int": ("d", "1", at(6), "1.5", None, None),
    "delay: not of type float": ("e", "1", at(6), None, "inf", None),
    "delay: below -60": ("f", "1", at(6), None, "-60.5", None),
    "delay: above 600": ("g", "1", at(6), None, "601", None),
    "at: not on the file's day": ("h", "1", at(0, DAY + timedelta(days=1)), None, None, None),
}


def test_each_bad_row_is_quarantined_as_landed_with_its_first_reason(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    several = ("i", None, "yesterday", "x", "900", "of its own")
    put(job.store, [*BAD.values(), several, ("good", "1", at(6), "7", "-60", "of its own")])
    result = ingest.run(job)
    assert result["reasons"] == dict.fromkeys(BAD, 1) | {"line: missing": 2}
    assert (result["rows"], result["accepted"], result["quarantined"]) == (10, 1, 9)
    refused = {json.loads(row["row"])["place"]: row for row in table(job, "quarantine")}
    for reason, landed in BAD.items():
        row = refused[landed[0]]
        assert (row["reason"], row["file"], row["date"]) == (reason, "2024-01-05.csv.gz", DAY)
        assert json.loads(row["row"]) == dict.fromkeys(COLUMNS) | dict(zip(COLUMNS, landed, strict=False))
    (good,) = table(job, "observations")
    assert (good["place"], good["seats"], good["delay"], good["reason"]) == ("good", 7, -60.0, "of its own")


def test_the_tables_hold_what_the_checks_give_and_show_reads_it(make_job: MakeJob, yaml: Path, tmp_path: Path) -> None:
    """The checks run in Spark's workers: what they give is compared with the same checks run here."""
    job = make_job("ingest", yaml, DAY, tmp_path)
    texts = [
        *(("9223372036854775807", "1e-400"), ("9223372036854775808", None), ("007", "1.5d"), ("1.0", "0x1p3")),
        *((None, None, "x", text) for text in ("0001-01-01", "9999-12-31", "2024", "2024-01-05T06:00:00.123456789")),
        *((None, None, "x", text) for text in ("2024-01-05T06:00:00 Europe/Berlin", "20240108T100000", "10000-01-01")),
        *((None, None, "x", None, text) for text in ("0001-01-01", "9999-12-31", "2024", "10000-01-01", "2024-1-8")),
        *((None, None, None, None, None, text) for text in ("Y", "0", "maybe")),
    ]
    put(job.store, [("a", "1", at(6) + f".{number:02}", *row) for number, row in enumerate(texts)])
    result = ingest.run(job)
    expected = check_days(job.context, [DAY])
    assert (result["accepted"], result["reasons"]) == (expected.rows.num_rows, expected.refused)
    rows = table(job, "observations")
    assert rows == sorted(expected.rows.to_pylist(), key=str)
    assert {row["until"].year for row in rows if row["until"]} == {1, 2024, 9999}
    shown = read_rows(job.workload, job.store, "observations").table
    assert {str(day) for day in shown["until"].drop_null().to_pylist()} == {
        *("0001-01-01 00:00:00", "9999-12-31 00:00:00", "2024-01-05 06:00:00.123456")
    }


def test_a_feature_is_the_same_whatever_other_groups_the_bucket_holds(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path, buckets=1)
    put(job.store, [("a", "1", at(6), "2", None, None, None, None, "true"), ("b", "1", at(6)), ("c", "1", at(6), "3")])
    ingest.run(job)
    assert features.run(make_job("features", yaml, DAY, tmp_path, buckets=1))["rows"] == 3
    own = function(job.workload, job.context.folder, "features")
    observed = check_days(job.context, [DAY]).rows
    alone = [
        compute(job.workload, own, observed.filter(pc.equal(observed["group"], group)), job.windows.score)["hour"]
        for group in ("a,1", "b,1", "c,1")
    ]
    assert [row["hour"] for row in table(job, "features")] == [hours[0].as_py() for hours in alone] == [5, None, 8]


def test_a_day_on_which_nothing_happened_is_a_green_run_of_no_rows(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    after = DAY + timedelta(days=1)
    for day, rows in ((DAY, []), (after, [("a", "1", at(6, after), "2")]), (after + timedelta(days=1), [])):
        put(make_job("ingest", yaml, day, tmp_path).store, rows, day)
        assert ingest.run(make_job("ingest", yaml, day, tmp_path))["accepted"] == len(rows)
        assert features.run(make_job("features", yaml, day, tmp_path))["rows"] == len(rows)


def test_where_too_many_rows_are_refused_they_are_in_quarantine_and_nothing_else_happens(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    yaml.write_text(DECLARED.replace("max_refused: 1", ""))
    put(make_job("ingest", yaml, DAY, tmp_path).store, [("a", "1", "08.01.2024 10:00"), ("b", "1", "08.01.2024 10:00")])
    with pytest.raises(TooManyRefused, match="2 of 2 rows of 2024-01-05: at: not of type timestamp"):
        ingest.run(make_job("ingest", yaml, DAY, tmp_path))
    job = make_job("ingest", yaml, DAY, tmp_path)
    assert (len(table(job, "quarantine")), job.store.days("observations")) == (2, set())
    put(job.store, [("a", "1", at(10)), ("b", "1", at(10))])
    assert ingest.run(job)["accepted"] == 2
    assert (len(table(job, "observations")), job.store.days("quarantine")) == (2, set())


def test_of_identical_rows_one_is_kept_and_of_contradicting_ones_none(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    same, other = ("a", "1", at(6), "7", "1", None), ("b", "1", at(6), "7", "1", None)
    put(job.store, [same, other, same, ("b", "1", at(6), "8", "1", None), ("a", "1", at(6), "07", "1.0", None)])
    assert ingest.run(job)["reasons"] == {
        "repeats a row": 2,
        "another row has the same place, line, at, not the same values": 2,
    }
    assert [row["place"] for row in table(job, "observations")] == ["a"]


def test_a_day_run_again_holds_the_same_rows_and_a_day_delivered_again_the_new_ones(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    before = DAY - timedelta(days=1)
    first, second = (make_job("ingest", yaml, day, tmp_path) for day in (before, DAY))
    put(first.store, [("a", "1", at(6, before), None, "1", None), ("a", "2", "never", None, None, None)], before)
    put(first.store, [("b", "1", at(6), None, "1", None), ("b", "2", "never", None, None, None)])
    ingest.run(first)
    ingest.run(second)
    tables = {name: table(second, name) for name in ("observations", "quarantine")}
    assert {name: len(rows) for name, rows in tables.items()} == {"observations": 2, "quarantine": 2}
    again = ingest.run(make_job("ingest", yaml, DAY, tmp_path))
    assert again["days"] == 1
    assert {name: table(second, name) for name in tables} == tables

    put(second.store, [("b", "2", at(7), None, "1", None)])
    ingest.run(make_job("ingest", yaml, DAY, tmp_path))
    assert [(row["place"], row["line"]) for row in table(second, "observations")] == [("a", "1"), ("b", "2")]
    assert [json.loads(row["row"])["place"] for row in table(second, "quarantine")] == ["a"]


def test_earlier_landed_days_come_along_once(make_job: MakeJob, yaml: Path, tmp_path: Path) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    for back in range(6):
        day = DAY - timedelta(days=back)
        put(job.store, [("a", "1", at(6, day), None, None, None)], day)
    assert (ingest.run(job)["days"], ingest.run(job)["days"]) == (4, 1)
    assert len(table(job, "observations")) == 4


def test_a_bad_file_among_good_ones_leaves_the_tables_as_they_were(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    put(job.store, [("a", "1", at(6), None, None, None), ("b", "1", "never", None, None, None)])
    ingest.run(job)
    tables = {name: table(job, name) for name in ("observations", "quarantine")}
    put(job.store, [("c", "1", at(6), None, None, None)])
    early = DAY - timedelta(days=1)
    put(job.store, [("a", "1", at(6, early), None, None, None)], early)
    cut = Path(job.store.uri(job.store.landing)) / f"{early}.csv.gz"
    cut.write_bytes(cut.read_bytes()[:-12])
    with pytest.raises(BadFile, match=r"2024-01-04\.csv\.gz' is cut off"):
        ingest.run(make_job("ingest", yaml, DAY, tmp_path))
    assert {name: table(job, name) for name in tables} == tables


def test_the_table_has_the_declared_columns_and_types(make_job: MakeJob, yaml: Path, tmp_path: Path) -> None:
    job = make_job("ingest", yaml, DAY, tmp_path)
    put(job.store, [("a", "1", at(6), "1", "1", "x")])
    ingest.run(job)
    delta_table = job.store.open("observations")
    assert delta_table is not None
    assert pa.schema(delta_table.to_pyarrow_table().schema).equals(observations_schema(job.workload))


@pytest.mark.parametrize("few", [-1, 20_000], ids=["by Spark", "from here"])
def test_many_rows_are_written_by_spark_and_few_from_here_into_the_same_tables(
    make_job: MakeJob, yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("muster_jobs.job.FEW_ROWS", few)
    before = DAY - timedelta(days=1)
    job = make_job("ingest", yaml, DAY, tmp_path)
    for rows in (
        [("a", "1", at(6), "7", "-60.5", None), ("b", "1", at(7), "8", "nan", "x" * 300)],
        [("a", "1", at(6))],
    ):
        put(
            job.store,
            [
                *((place, "1", at(6, before), "7", "1", None, at(5), "2001-02-03", "true") for place in NASTY),
                ("a", "1", "noon"),
            ],
            before,
        )
        put(job.store, rows)
        ingest.run(make_job("ingest", yaml, DAY, tmp_path))
        features.run(make_job("features", yaml, DAY, tmp_path))
    written = {name: job.store.open(name) for name in ("observations", "quarantine", "features")}
    for name, delta in written.items():
        assert delta is not None
        assert {commit.get("operation") for commit in delta.history()} == {"CREATE TABLE", "WRITE"}
        by_spark = {
            "Spark" in str(commit.get("engineInfo")) for commit in delta.history() if commit["operation"] == "WRITE"
        }
        assert by_spark == {few < 0}
        assert pa.schema(delta.to_pyarrow_table().schema).equals(TABLES[name].schema(job.workload)), name
    expected = check_days(job.context, [before, DAY]).rows
    assert table(job, "observations") == sorted(expected.to_pylist(), key=str)
    [refused] = table(job, "quarantine")
    assert (refused["date"], refused["reason"]) == (before, "at: not of type timestamp")
    of_both = {(groups.name((place, "1")), before) for place in NASTY} | {("a,1", DAY)}
    assert {(row["group"], row["date"]) for row in table(job, "features")} == of_both


def test_rows_with_long_texts_are_many_whatever_their_number(
    make_job: MakeJob, yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster_jobs.ingest.FEW_CHARACTERS", 500)
    job = make_job("ingest", yaml, DAY, tmp_path)
    for text, by_spark in (("x" * 100, False), ("x" * 600, True)):
        put(job.store, [("a", "1", at(6), "7", "1", text), ("b", "1", "noon", "7", "1", text)])
        ingest.run(make_job("ingest", yaml, DAY, tmp_path))
        for name in ("observations", "quarantine"):
            delta = job.store.open(name)
            assert delta is not None
            assert ("Spark" in str(delta.history(1)[0].get("engineInfo"))) == by_spark


def test_a_day_that_nobody_waits_for_any_more_is_named_and_the_next_ingest_brings_it(
    make_job: MakeJob, yaml: Path, tmp_path: Path
) -> None:
    yaml.write_text(DECLARED.replace("every: 1", "every: 2"))
    first, late = date(2024, 1, 5), date(2024, 1, 6)
    job = make_job("ingest", yaml, first, tmp_path)
    put(job.store, [("a", "1", at(6, first))], first)
    with pytest.raises(NoFile):
        ingest.run(job)
    without = replace(job, options={"without": f"{late}"})
    without.__dict__["spark"] = job.__dict__["spark"]
    result = ingest.run(without)
    assert (result["days"], result["missing"], result["accepted"]) == (1, [str(late)], 1)
    put(job.store, [("a", "1", at(6, late))], late)
    for number in (0, 1):
        put(job.store, [("a", "1", at(6, date(2024, 1, 7 + number)))], date(2024, 1, 7 + number))
    after = ingest.run(make_job("ingest", yaml, date(2024, 1, 7), tmp_path))
    assert (after["days"], "missing" in after) == (3, False)
    wrong = replace(job, options={"without": "yesterday"})
    with pytest.raises(WrongArgument, match="'without' is no list of days, as 2024-01-08,2024-01-09"):
        ingest.run(wrong)
