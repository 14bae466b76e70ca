"""The upstream's delivery: whole files or none, once each, the same bytes for the same rows."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from muster.context import Context
from muster.errors import MusterError, Stopped
from muster.ingest.landing import NoLanding, land
from muster.storage.store import Store
from muster.workload.load import load_workload
from muster.workload.own_code import OwnCodeFailed
from muster.workload.spec import Workload

DECLARED = """
keys: [place]
time: at
columns: {place: string, at: timestamp, delay: "float?"}
unique: [place, at]
label: {column: delay, above: 0}
features: {columns: [hour]}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 14, evaluate: 7}
schedule: {start: 2024-01-01}
"""
OWN = """
from datetime import date
import pandas as pd

CALLS = []

def features(rows): ...

def deliver(landed):
    CALLS.append(landed)
    for day in (date(2024, 1, 1), date(2024, 1, 2)):
        at = pd.Timestamp(day)
        yield day, pd.DataFrame({"delay": [1.5, None], "place": ['a,"b"', "ü"], "at": [at, at], "more": [1, 2]})

def breaks(landed):
    yield from list(deliver(landed))[:1]
    raise RuntimeError("upstream is gone")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text(OWN)
    return tmp_path


def declared(folder: Path, landing: str) -> Workload:
    (folder / "made.yaml").write_text(DECLARED + (f"landing: {landing}" if landing else ""))
    return load_workload(folder / "made.yaml")


def files(store: Store) -> dict[str, bytes]:
    return {Path(file.path).name: store.files.read(file.path) for file in store.files.listed(store.landing)}


def test_a_file_a_day_holds_the_declared_columns_in_order(folder: Path) -> None:
    store = Store(str(folder / "store"), "made")
    report = land(Context(declared(folder, "deliver"), folder, store))
    assert (report.written, report.days) == (2, 2)
    assert sorted(files(store)) == ["2024-01-01.csv.gz", "2024-01-02.csv.gz"]
    text = gzip.decompress(files(store)["2024-01-02.csv.gz"]).decode()
    assert text == 'place,at,delay\n"a,""b""",2024-01-02,1.5\nü,2024-01-02,\n'


def test_landing_again_leaves_files_as_they_are(folder: Path) -> None:
    store = Store(str(folder / "store"), "made")
    workload = declared(folder, "deliver")
    land(Context(workload, folder, store))
    first_file = Path(store.uri(store.landing)) / "2024-01-01.csv.gz"
    first_file.write_bytes(b"delivered by hand")
    report = land(Context(workload, folder, store))
    assert (report.written, report.days) == (0, 2)
    assert first_file.read_bytes() == b"delivered by hand"


def test_the_same_rows_give_the_same_bytes(folder: Path) -> None:
    stores = [Store(str(folder / name), "made") for name in ("first", "second")]
    for store in stores:
        land(Context(declared(folder, "deliver"), folder, store))
    assert files(stores[0]) == files(stores[1])


def test_a_delivery_that_breaks_leaves_whole_files_only_and_is_taken_up_again(folder: Path) -> None:
    store = Store(str(folder / "store"), "made")
    with pytest.raises(OwnCodeFailed, match=r"'breaks' raised RuntimeError: upstream is gone\n  made.py:17, in breaks"):
        land(Context(declared(folder, "breaks"), folder, store))
    assert list(files(store)) == ["2024-01-01.csv.gz"]
    assert land(Context(declared(folder, "deliver"), folder, store)).written == 1


def test_a_delivery_that_ends_the_process_is_an_error_and_a_signal_is_none(folder: Path) -> None:
    code = "def leaves(landed):\n    raise SystemExit(0)\n\ndef is_stopped(landed):\n    raise Stopped(143)\n"
    (folder / "made.py").write_text(f"from muster.errors import Stopped\n{OWN}{code}")
    store = Store(str(folder / "store"), "made")
    with pytest.raises(OwnCodeFailed, match="'leaves' raised SystemExit: 0"):
        land(Context(declared(folder, "leaves"), folder, store))
    with pytest.raises(Stopped):
        land(Context(declared(folder, "is_stopped"), folder, store))


def test_a_workload_without_a_landing_function_is_told_so(folder: Path) -> None:
    with pytest.raises(NoLanding, match=r"declares no 'landing': .* put them into '.*', each day's as 2024-01-08"):
        land(Context(declared(folder, ""), folder, Store(str(folder / "store"), "made")))


@pytest.mark.parametrize(
    ("yields", "problem"),
    [
        ("yield 1", "yields a int; it yields a pair for each day"),
        ("return 7", "'int' object is not iterable"),
        ("yield '2024-01-01', rows", "yields a str as day"),
        ("yield pd.Timestamp('2024-01-01'), rows", "yields a Timestamp as day"),
        ("yield date(2024, 1, 1), [1]", "yields a list as rows of 2024-01-01"),
        ("yield date(2024, 1, 1), rows[['place']]", "yields rows of 2024-01-01 without the columns at, delay"),
    ],
)
def test_what_is_no_day_with_its_rows_is_told_in_a_line(folder: Path, yields: str, problem: str) -> None:
    text = f"""
from datetime import date
import pandas as pd

def bad(landed):
    rows = pd.DataFrame({{"place": ["a"], "at": ["x"], "delay": [1.0]}})
    {yields}

def features(rows):
    return rows
"""
    (folder / "made.py").write_text(text)
    store = Store(str(folder / "store"), "made")
    with pytest.raises(MusterError, match=re.escape(problem)):
        land(Context(declared(folder, "bad"), folder, store))
    assert files(store) == {}
