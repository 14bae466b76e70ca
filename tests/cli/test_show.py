"""`./muster show`: what is read, what is printed, what a wrong argument gets."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.cli import main
from muster.cli.table_view import view
from muster.context import Context
from muster.settings import settings
from muster.storage.provenance import Fact, write_facts
from muster.storage.query import Rows
from muster.storage.store import Store
from muster.storage.tables import ALIAS_JOURNAL, DECISIONS, PREDICTIONS, QUARANTINE, TABLES, features_schema
from muster.workload.load import load_workload
from muster_local.summary import held_in_a_row

FLIGHTS = """
keys: [carrier, origin, dest]
time: dep
unique: [carrier, origin, dest, dep]
columns: {carrier: string, origin: string, dest: string, dep: timestamp, delay: "float?"}
label: {column: delay, above: 15}
features: {columns: [hour], buckets: 16}
algorithms: {logistic: sklearn.linear_model.LogisticRegression}
windows: {train: 28, evaluate: 28}
schedule: {start: 2013-04-29}
"""
WEIRD = 'UA,"[red]E""WR[/red],\x1b[2J","../../ü"'
Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    folder = tmp_path / "workloads"
    folder.mkdir()
    (folder / "flights.yaml").write_text(FLIGHTS)
    (folder / "flights.py").write_text("def features(rows): ...")
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(folder))
    settings.cache_clear()
    yield Store(str(tmp_path / "store"), "flights")
    settings.cache_clear()


@pytest.fixture
def show(store: Store, capsys: pytest.CaptureFixture[str]) -> Show:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_info:
            main(["show", *arguments])
        printed = capsys.readouterr()
        return int(exit_info.value.code or 0), printed.out, printed.err

    return run


def write(store: Store, table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    by = list(TABLES[table].partitioned_by)
    write_deltalake(store.table(table), pa.Table.from_pylist(rows, schema), mode="append", partition_by=by or None)


def prediction(partition: str, group: str, minute: int, score: float = 0.5) -> dict[str, Any]:
    time = datetime.fromisoformat(partition).replace(tzinfo=UTC) + timedelta(minutes=minute)
    ids = {"partition": partition, "group": group, "bucket": 0, "row_id": f"{group}-{minute}", "time": time}
    return {**ids, "score": score, "model_version": "1", "origin_run": "r", "features_version": 1, "scored_at": time}


@pytest.fixture
def predictions(store: Store) -> list[dict[str, Any]]:
    """Two partitions, the older one last, of three groups and ten minutes."""
    rows = [
        prediction(partition, group, minute)
        for partition in ("2013-06-10", "2013-06-03")
        for group in (WEIRD, "UA,EWR,ORD", "AA,JFK,LAX")
        for minute in range(10)
    ]
    for partition in ("2013-06-10", "2013-06-03"):
        write(store, "predictions", PREDICTIONS, [row for row in rows if row["partition"] == partition])
    return rows


@pytest.mark.usefixtures("predictions")
def test_json_holds_every_row_with_its_values(show: Show, predictions: list[dict[str, Any]]) -> None:
    code, out, _ = show("flights", "predictions", "--format", "json")
    read = json.loads(out)
    assert code == 0
    assert {(row["partition"], row["row_id"]) for row in read} == {(r["partition"], r["row_id"]) for r in predictions}
    assert read[0]["time"] == "2013-06-10T00:00:00Z"
    assert read[0]["fallback"] is None


@pytest.mark.usefixtures("predictions")
def test_csv_reads_back_with_group_names_of_any_text(show: Show) -> None:
    _, out, _ = show("flights", "predictions", "--format", "csv", "--group", WEIRD)
    read = list(csv.DictReader(io.StringIO(out)))
    assert [row["group"] for row in read] == [WEIRD] * 20
    assert datetime.fromisoformat(read[0]["time"]) == datetime(2013, 6, 10, tzinfo=UTC)


@pytest.mark.usefixtures("predictions")
def test_newest_partition_comes_first_and_then_group_and_time(show: Show) -> None:
    _, out, _ = show("flights", "predictions", "--format", "json", "--limit", "31")
    keys = [(row["partition"], row["group"], row["time"]) for row in json.loads(out)]
    assert [partition for partition, _, _ in keys] == ["2013-06-10"] * 30 + ["2013-06-03"]
    assert keys[:30] == sorted(keys[:30])


@pytest.mark.usefixtures("predictions")
def test_partition_and_group_filters_hold_together(show: Show) -> None:
    _, out, _ = show("flights", "predictions", "--partition", "2013-06-03", "--group", "UA,EWR,ORD", "--format", "json")
    assert {(row["partition"], row["group"]) for row in json.loads(out)} == {("2013-06-03", "UA,EWR,ORD")}
    assert len(json.loads(out)) == 10


@pytest.mark.usefixtures("predictions")
def test_quote_in_a_group_is_a_value_not_sql(show: Show) -> None:
    code, out, _ = show("flights", "predictions", "--group", "x' OR 'a'='a,b,c", "--format", "json")
    assert (code, json.loads(out)) == (0, [])


def test_a_group_is_taken_as_a_person_types_it(show: Show, store: Store) -> None:
    names = ('UA,"12"" pipe",ORD', "UA,*,ORD")
    for minute, name in enumerate(names):
        write(store, "predictions", PREDICTIONS, [prediction("2013-06-03", name, minute)])
    for typed, name in zip(('UA,12" pipe,ORD', "UA,*,ORD"), names, strict=True):
        _, out, _ = show("flights", "predictions", "--group", typed, "--format", "json")
        assert [row["group"] for row in json.loads(out)] == [name]


def test_partition_of_a_table_by_date_means_the_days_of_its_slice(show: Show, store: Store) -> None:
    days = [date(2013, 6, 2) + timedelta(days=n) for n in range(9)]
    rows = [{"date": day, "file": f"{day}.csv.gz", "row": "{}", "reason": "x"} for day in days]
    write(store, "quarantine", QUARANTINE, rows)
    _, out, _ = show("flights", "quarantine", "--partition", "2013-06-03", "--format", "json")
    assert [row["date"] for row in json.loads(out)] == [f"2013-06-{day:02}" for day in range(9, 2, -1)]


def test_provenance_of_a_partition_is_that_of_its_slice_and_of_its_days(show: Show, store: Store) -> None:
    names = [f"2013-06-{day:02}" for day in (2, 3, 9, 10)]
    write_facts(store, [Fact("observations", name, "", {}, {}) for name in names])
    _, out, _ = show("flights", "provenance", "--partition", "2013-06-03", "--format", "json")
    assert {row["slice"] for row in json.loads(out)} == {"2013-06-03", "2013-06-09"}


def test_features_of_a_group_are_found_in_its_bucket(show: Show, store: Store) -> None:
    from muster import groups

    workload = load_workload(settings().workloads / "flights.yaml")
    names = [f"UA,EWR,{n}" for n in range(20)]
    rows = [
        {"group": name, "row_id": name, "partition": "2013-06-03", "bucket": groups.bucket(name, 16)} for name in names
    ]
    write(store, "features", features_schema(workload), rows)
    _, out, _ = show("flights", "features", "--group", "UA,EWR,7", "--format", "json")
    assert [row["row_id"] for row in json.loads(out)] == ["UA,EWR,7"]


def test_journal_is_read_latest_move_first(show: Show, store: Store) -> None:
    moves = [{"at": datetime(2013, 6, day, tzinfo=UTC), "to_version": str(day)} for day in (3, 17, 10)]
    write(store, "alias_journal", ALIAS_JOURNAL, moves)
    _, out, _ = show("flights", "alias_journal", "--format", "json")
    assert [row["to_version"] for row in json.loads(out)] == ["17", "10", "3"]


def test_json_has_null_for_what_is_no_number(show: Show, store: Store) -> None:
    write(store, "predictions", PREDICTIONS, [prediction("2013-06-03", "UA,EWR,ORD", 0, float("nan"))])
    _, out, _ = show("flights", "predictions", "--format", "json")
    assert json.loads(out, parse_constant=pytest.fail)[0]["score"] is None


@pytest.mark.usefixtures("predictions")
def test_table_shows_a_screen_and_says_how_much_more_there_is(show: Show) -> None:
    _, out, _ = show("flights", "predictions")
    assert out.splitlines()[-1] == "the first 20 of 60 rows; --limit shows more"
    assert "partition 2013-06-10" in out.splitlines()[0]


@pytest.mark.usefixtures("predictions")
def test_group_names_are_neither_markup_nor_control_codes(show: Show) -> None:
    _, out, _ = show("flights", "predictions", "--limit", "40")
    assert '"[red]E""WR[/red],\\x1b[2J"' in out
    assert "\x1b" not in out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_table_fits_a_narrow_terminal_and_names_what_it_leaves_out() -> None:
    columns = {f"column_{n}": [f"value {n} {row}" * 3 for row in range(3)] for n in range(8)}
    out = Terminal()
    view(Rows(pa.Table.from_pydict(columns), 3), out)
    lines = out.getvalue().splitlines()
    assert "too narrow for" in out.getvalue()
    assert "column_7" in out.getvalue()
    assert all(len(line) <= 80 for line in lines if "value" in line)


def test_a_narrow_terminal_has_room_for_verdicts_and_scores_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        {name: f"{name} {number}" for name in DECISIONS.names if DECISIONS.field(name).type == pa.string()}
        | {
            "candidate_score": 0.71 + number / 100,
            "champion_score": 0.69,
            "baseline_score": 0.5 + number,
            "bucket": number,
        }
        for number in (1, 2)
    ]
    view(Rows(pa.Table.from_pylist(rows, DECISIONS), 2), out := Terminal())
    assert all(text in out.getvalue() for text in ("candidate_score", "0.72", "0.73", "verdict 1"))
    header = out.getvalue().splitlines()[1]
    assert header.index("verdict") < header.index("candidate_score")


def test_a_narrow_terminal_shows_the_baseline_where_there_is_no_champion_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        {name: f"{name} {number}" for name in DECISIONS.names if DECISIONS.field(name).type == pa.string()}
        | {"group": f"{number}" * 60, "candidate_score": 0.71 + number / 100, "baseline_score": 0.5 + number / 100}
        for number in (1, 2)
    ]
    view(Rows(pa.Table.from_pylist(rows, DECISIONS), 2), out := Terminal())
    assert all(text in out.getvalue() for text in ("candidate_score", "0.72", "baseline_score", "0.51"))


def test_long_groups_are_folded_so_that_no_two_rows_look_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    groups = [f"{'Saint-Remy-en-Bouzemont-Saint-Genest-et-Isson-' * 2}{number}" for number in (1, 2)]
    table = pa.table({"group": groups, "score": [0.25, 0.75]})
    view(Rows(table, 2), out := Terminal())
    shown = "".join(line.split("  ")[0].strip() for line in out.getvalue().splitlines())
    assert all(group in shown for group in groups)
    assert "0.25" in out.getvalue()


@pytest.mark.usefixtures("predictions")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nights", "ledger"], "no workload 'nights'; there is: flights"),
        (["flights", "legder"], "no table 'legder'; there is: alias_journal, decisions, features, ledger"),
        (["flights", "predictions", "--partition", "2013-06-04"], "every 7 days from 2013-04-29"),
        (["flights", "predictions", "--partition", "monday"], "'monday' is no partition of flights"),
        (["flights", "predictions", "--format", "yaml"], "no format 'yaml'; there is: csv, json, table"),
        (["flights", "predictions", "--group", "UA"], "one value a key, as a CSV row: carrier,origin,dest"),
        (["flights", "predictions", "--group", ""], "'' is no group of flights"),
        (["flights", "quarantine", "--group", "UA,EWR,ORD"], "belong to no group"),
        (["flights", "predictions", "--limit", "-1"], "--limit"),
        (["flights", "predictions", "--sort", "rows"], "no column of predictions 'rows'; there is: bucket, "),
        (["flights", "decisions", "--verdict", "held"], "no verdict 'held'; there is: hold, promote, reject"),
        (["flights", "predictions", "--state", "failed"], "the rows of 'predictions' have no state"),
        (["flights", "alias_journal", "--reason", "x"], "the rows of 'alias_journal' have no reason"),
        (["flights", "quarantine", "--in-a-row", "2"], "have no groups by partition"),
        (["flights"], "Missing argument 'table'"),
    ],
)
def test_wrong_argument_is_one_line_and_code_2(show: Show, arguments: list[str], problem: str) -> None:
    code, out, err = show(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert problem in err


@pytest.mark.usefixtures("store")
def test_table_not_yet_written_names_the_stage_that_writes_it(show: Show) -> None:
    code, _, err = show("flights", "decisions")
    assert code != 0
    assert err == "error: flights has no table 'decisions' yet: its stage 'evaluate' writes it\n"


@pytest.mark.usefixtures("predictions")
def test_neither_pandas_nor_spark_is_imported() -> None:
    heavy = "{'pandas', 'pyspark', 'sklearn', 'mlflow', 'airflow'} & set(sys.modules)"
    program = f"""
import sys
from muster.cli import main
from muster.cli.table_view import view
from muster.context import Context
try:
    main(["show", "flights", "predictions"])
finally:
    sys.stderr.write(f"imported: {{sorted({heavy})}}")
"""
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stderr == "imported: []"


WEEKS = ["2013-06-03", "2013-06-10", "2013-06-17"]
OUTCOMES = {  # of each week: state, verdict, reason
    "AA,JFK,LAX": [
        ("trained", "hold", "only 9 rows"),
        ("trained", "hold", "only 8 rows"),
        ("trained", "hold", "No AUC"),
    ],
    "AA,JFK,ORD": [
        ("skipped", "hold", "few rows"),
        ("trained", "hold", "only 7 rows"),
        ("trained", "hold", "only 6 rows"),
    ],
    "UA,EWR,ORD": [
        ("trained", "hold", "only 5 rows"),
        ("failed", "hold", "it failed"),
        ("trained", "hold", "only 4 rows"),
    ],
    "UA,EWR,SFO": [("trained", "promote", "wins"), ("trained", "reject", "loses"), ("trained", "promote", "wins")],
}


@pytest.fixture
def outcomes(store: Store) -> None:
    """Three weeks of four groups in ledger and decisions."""
    for number, week in enumerate(WEEKS):
        rows = [
            {"partition": week, "run": f"run-{number}", "group": group, "bucket": 0, "rows": len(reason)}
            | {"state": state, "verdict": verdict, "reason": reason}
            for group, weeks in OUTCOMES.items()
            for state, verdict, reason in [weeks[number]]
        ]
        write(store, "ledger", TABLES["ledger"].schema(None), rows)  # type: ignore[arg-type]
        write(store, "decisions", TABLES["decisions"].schema(None), rows)  # type: ignore[arg-type]


@pytest.mark.usefixtures("outcomes")
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["decisions", "--verdict", "promote"], ["17 UA,EWR,SFO", "03 UA,EWR,SFO"]),
        (["ledger", "--state", "failed"], ["10 UA,EWR,ORD"]),
        (["ledger", "--verdict", "reject"], ["10 UA,EWR,SFO"]),
        (["decisions", "--state", "skipped"], ["03 AA,JFK,ORD"]),
        (["decisions", "--reason", "no auc"], ["17 AA,JFK,LAX"]),
        (["decisions", "--reason", "x%' OR '%"], []),
        (["decisions", "--prefix", "UA,", "--partition", "2013-06-10"], ["10 UA,EWR,ORD", "10 UA,EWR,SFO"]),
        (["ledger", "--prefix", "UA,EWR,S", "--state", "trained", "--limit", "1"], ["17 UA,EWR,SFO"]),
        (
            ["decisions", "--verdict", "hold", "--partition", "2013-06-17", "--sort", "-rows"],
            ["17 AA,JFK,ORD", "17 UA,EWR,ORD", "17 AA,JFK,LAX"],
        ),
        (
            ["decisions", "--partition", "2013-06-10", "--sort", "reason"],
            ["10 UA,EWR,ORD", "10 UA,EWR,SFO", "10 AA,JFK,ORD", "10 AA,JFK,LAX"],
        ),
        (["decisions", "--verdict", "hold", "--in-a-row", "3"], ["17 AA,JFK,LAX", "17 AA,JFK,ORD", "17 UA,EWR,ORD"]),
        (["decisions", "--state", "trained", "--verdict", "hold", "--in-a-row", "3"], ["17 AA,JFK,LAX"]),
        (
            ["decisions", "--state", "trained", "--verdict", "hold", "--in-a-row", "2"],
            ["17 AA,JFK,LAX", "17 AA,JFK,ORD"],
        ),
        (
            ["ledger", "--state", "trained", "--verdict", "hold", "--in-a-row", "2", "--partition", "2013-06-10"],
            ["10 AA,JFK,LAX"],
        ),
        (["decisions", "--verdict", "hold", "--in-a-row", "4"], []),
    ],
)
def test_rows_are_chosen_by_outcome_reason_and_prefix_and_sorted(
    show: Show, arguments: list[str], shown: list[str]
) -> None:
    code, out, _ = show("flights", *arguments, "--format", "json")
    assert code == 0
    assert [f"{row['partition'][-2:]} {row['group']}" for row in json.loads(out)] == shown


@pytest.mark.usefixtures("outcomes")
@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("ua, ewr,ord", "ledger has no group 'ua, ewr,ord'; the nearest are: 'UA,EWR,ORD', 'UA,EWR,SFO'"),
        ("AA,JFK,LAX", ""),  # there is one, though not of this week
        ("x,y,z", ""),
    ],
)
def test_a_group_that_there_is_not_is_told_its_nearest(show: Show, group: str, told: str) -> None:
    code, out, err = show("flights", "ledger", "--group", group, "--partition", "2013-06-24", "--format", "json")
    assert (code, out) == (0, "[]\n")
    assert err.startswith(told) if told else err == ""


@pytest.mark.usefixtures("outcomes")
def test_the_summary_of_up_counts_who_is_trained_and_held_again_and_again() -> None:
    context = Context.named("flights", settings())
    assert [held_in_a_row(context, week) for week in WEEKS] == [0, 0, 1]


WRITES_AND_ENDS = "import sys; from muster.__main__ import run; run(lambda: (print('a line'), sys.exit(0)))"


@pytest.mark.usefixtures("predictions")
@pytest.mark.parametrize(
    "program", [["-m", "muster", "show", "flights", "predictions", "--format", "csv"], ["-c", WRITES_AND_ENDS]]
)
def test_reader_that_stops_early_is_no_error(program: list[str]) -> None:
    reading = subprocess.Popen([sys.executable, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reading.stdout is not None
    assert reading.stderr is not None
    reading.stdout.close()
    assert reading.stderr.read() == b""
    assert reading.wait() == 0


def test_a_text_to_end_with_is_printed_and_is_a_failure() -> None:
    program = "from muster.__main__ import run; run(lambda: exit('why it ended'))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "why it ended\n")


def test_by_state_a_group_is_shown_as_its_latest_attempt_ended(store: Store, show: Show) -> None:
    group = {"partition": WEEKS[0], "group": "UA,EWR,ORD", "bucket": 0}
    ends = [("r1", "failed", 1), ("r2", "trained", 2)]
    rows = [{**group, "run": run, "state": state, "attempt": attempt} for run, state, attempt in ends]
    write(store, "ledger", TABLES["ledger"].schema(None), rows)  # type: ignore[arg-type]
    counts = [len(json.loads(show("flights", "ledger", *options, "--format", "json")[1])) for options in BY_STATE]
    assert counts == [0, 1, 2]


BY_STATE: list[list[str]] = [["--state", "failed"], ["--state", "trained"], []]


def test_a_ledger_of_before_is_shown_by_state(store: Store, show: Show) -> None:
    schema = TABLES["ledger"].schema(None)  # type: ignore[arg-type]
    row = {"partition": WEEKS[0], "group": "UA,EWR,ORD", "bucket": 0, "run": "r1", "state": "failed"}
    write(store, "ledger", schema.remove(schema.get_field_index("attempt")), [row])
    assert len(json.loads(show("flights", "ledger", "--state", "failed", "--format", "json")[1])) == 1
