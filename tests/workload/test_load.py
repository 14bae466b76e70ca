"""Reading a workload's YAML: every problem at once, each with its file, its dotted path and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from muster.errors import UnknownName, WorkloadError
from muster.workload.algorithm import Step
from muster.workload.column import Column
from muster.workload.load import NoWorkloadFolder, find_workload, load_workload, workload_files
from muster.workload.spec import Parent
from muster_local import PROJECT

FLIGHTS: dict[str, Any] = yaml.safe_load("""
keys: [carrier, origin]
time: dep
unique: [carrier, origin, dep]
columns: {carrier: string, origin: string, dep: timestamp, delay: "float? [-200, 2000]"}
label: {column: delay, above: 15}
features: {columns: [hour, record], lookback: 7}
algorithms: {logistic: [sklearn.preprocessing.StandardScaler, {sklearn.linear_model.LogisticRegression: {C: 0.1}}]}
windows: {train: 28, evaluate: 28}
schedule: {start: 2013-04-29}
""")
Declare = Callable[..., Path]
SEARCHED: dict[str, Any] = {"steps": "sklearn.svm.SVC"}


def searched(**grid: object) -> dict[str, Any]:
    return SEARCHED | {"search": {"grid": grid}}


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Write `flights.yaml` with some dotted paths set otherwise (None: left out), and its Python file."""

    def write(changes: dict[str, Any] | None = None, code: str | None = "def features(rows): ...") -> Path:
        declared = yaml.safe_load(yaml.safe_dump(FLIGHTS))
        for path, value in (changes or {}).items():
            *parents, last = path.split("/")
            section = declared
            for name in parents:
                section = section.setdefault(name, {})
            if value is None:
                del section[last]
            else:
                section[last] = value
        if code is not None:
            (tmp_path / "flights.py").write_text(code)
        file = tmp_path / "flights.yaml"
        file.write_text(yaml.safe_dump(declared, sort_keys=False))
        return file

    return write


def bomb(level: str) -> str:
    """Return a short text that stands for nine to the power of nine values."""
    levels = (f"a{n + 1}: &a{n + 1} {level.format(', '.join([f'*a{n}'] * 9))}\n" for n in range(9))
    return "a0: &a0 {a: 1, b: 2}\n" + "".join(levels)


def problems(file: Path) -> dict[str, str]:
    with pytest.raises(WorkloadError) as error:
        load_workload(file)
    return dict(error.value.problems)


@pytest.mark.parametrize("file", workload_files(PROJECT / "include" / "workloads"), ids=lambda file: file.stem)
def test_every_workload_of_the_project_holds(file: Path) -> None:
    assert load_workload(file).name == file.stem


def test_name_and_defaults_need_not_be_written(declare: Declare) -> None:
    workload = load_workload(declare())
    assert (workload.name, workload.gate.baseline, workload.pack.fallback) == ("flights", "prior", "baseline")


def test_column_is_read_from_its_short_form(declare: Declare) -> None:
    assert load_workload(declare()).columns["delay"] == Column(type="float", optional=True, low=-200, high=2000)


def test_rows_may_have_no_columns_that_identify_them(declare: Declare) -> None:
    assert load_workload(declare({"unique": "row"})).unique == ()


def test_the_time_may_have_a_zone_and_utc_is_none(declare: Declare) -> None:
    zones = ("Europe/Berlin", "UTC", None)
    workloads = [load_workload(declare({"time": {"column": "dep", "zone": zone}})) for zone in zones]
    assert {workload.time for workload in workloads} == {"dep"}
    assert [workload.zone for workload in workloads] == ["Europe/Berlin", None, None]
    assert load_workload(declare({"time": {"column": "dep"}})) == load_workload(declare())


def test_a_cron_comes_after_the_days_of_the_zone_have_ended(declare: Declare) -> None:
    changes = {"time": {"column": "dep", "zone": "America/New_York"}}
    early = problems(declare({**changes, "schedule/cron": "59 4 * * 1"}))
    assert early == {
        "schedule.cron": "'59 4 * * 1', in UTC, comes before a day of America/New_York has ended, which is at 05:00 "
        "UTC at the latest; write a later time"
    }
    assert load_workload(declare({**changes, "schedule/cron": "0 5 * * 1"})).schedule.cron == "0 5 * * 1"
    east = {"time": {"column": "dep", "zone": "Asia/Tokyo"}, "schedule/cron": "0 0 * * 1"}
    assert load_workload(declare(east)).zone == "Asia/Tokyo"


def test_range_may_be_open_on_one_side(declare: Declare) -> None:
    column = load_workload(declare({"columns/delay": "int [, 9]"})).columns["delay"]
    assert (column.low, column.high) == (None, 9)


@pytest.mark.parametrize(
    "steps",
    [
        "sklearn.linear_model.LogisticRegression",
        ["sklearn.linear_model.LogisticRegression"],
        {"sklearn.linear_model.LogisticRegression": {}},
        [{"name": "sklearn.linear_model.LogisticRegression", "params": {}}],
    ],
)
def test_algorithm_may_be_written_short_or_long(declare: Declare, steps: object) -> None:
    step = Step(name="sklearn.linear_model.LogisticRegression")
    assert load_workload(declare({"algorithms/one": steps})).algorithms["one"].steps == (step,)
    assert load_workload(declare({"algorithms/one": {"steps": steps}})).algorithms["one"].steps == (step,)


def test_parent_may_be_the_fallback(declare: Declare) -> None:
    workload = load_workload(declare({"pack/fallback": {"keys": ["origin"], "share": 0.2}}))
    assert workload.pack.fallback == Parent(keys=("origin",), share=0.2)


@pytest.mark.parametrize("key", ["allowed_imports", "loads"])
def test_allowed_imports_may_be_written_under_their_old_name(declare: Declare, key: str) -> None:
    workload = load_workload(declare({f"pack/{key}": ["lightgbm", "numpy:average"]}))
    assert workload.pack.allowed_imports == ("lightgbm", "numpy:average")


def test_allowed_imports_are_written_under_one_name_only(declare: Declare) -> None:
    assert set(problems(declare({"pack/allowed_imports": ["a"], "pack/loads": ["b"]}))) == {"pack.loads"}


def test_every_problem_is_told_at_once_whatever_its_kind(declare: Declare) -> None:
    changes = {
        "retrys": 3,  # unknown key
        "windows/train": "four weeks",  # wrong type
        "label": None,  # missing section
        "features/function": "feetures",  # missing function
        "features/lookback": -1,
        "gate/baseline": "weather",
        "algorithms/logistic": [":mine", {"a": 1, "b": 2}],
        "schedule/demo": [date(2013, 5, 1)],
    }
    messages = problems(declare(changes))
    assert set(messages) == {
        *("retrys", "windows.train", "outcome", "features.function", "features.lookback", "gate.baseline"),
        *("algorithms.logistic.1", "schedule.demo.0"),
    }


def test_message_has_file_path_and_problem_on_each_line(declare: Declare) -> None:
    file = declare({"retrys": 3, "seed": "x"})
    with pytest.raises(WorkloadError) as error:
        load_workload(file)
    assert str(error.value).splitlines() == [
        f"{file}: seed: 'x' is no whole number",
        f"{file}: retrys: is no key of this section; did you mean 'retries'?",
    ]


@pytest.mark.parametrize(
    ("path", "value", "expected_path", "expected"),
    [
        ("flavour", 1, "flavour", "is no key of this section; there is: name, description"),
        ("windows/evalute", 7, "windows.evalute", "did you mean 'evaluate'?"),
        ("pack/fallback", {"key": ["origin"], "keys": ["origin"]}, "pack.fallback.key", "did you mean 'keys'?"),
        ("windows", None, "windows", "is missing, and has no default"),
        ("windows/train", 28.5, "windows.train", "28.5 is no whole number"),
        ("windows/train", 0, "windows.train", "0 is too small: 1 at least"),
        ("gate/win_rate", 1.5, "gate.win_rate", "1.5 is too large: 1.0 at most"),
        ("gate/metric", "auc", "gate.metric", "'auc' is none of"),
        ("windows/evaluate", 4, "gate.resample", "windows.evaluate has 4: no group could be judged"),
        ("gate/min_days", 29, "gate.resample", "gate.min_days asks for 29 of them"),
        (
            "gate/resample",
            "week",
            "gate.resample",
            "'week' is neither 'day' nor 'row', nor one of the declared",
        ),
        (
            "gate/resample",
            "carrier",
            "gate.resample",
            "'carrier' is one of the keys: a group's rows all have one value",
        ),
        ("gate/rule", "not_worse", "gate.margin", "'rule: not_worse' needs it: how much worse, in units of roc_auc"),
        ("gate/max_age", "60d", "gate.margin", "'max_age' needs it"),
        ("gate/max_age", "two months", "gate.max_age", "'two months' is no whole number"),
        ("gate/margin", 0.01, "gate.margin", "is of 'rule: not_worse' or of 'max_age'"),
        ("gate/least_gain", -0.1, "gate.least_gain", "-0.1 is too small"),
        ("gate/at_least", 60, "gate.at_least", "60 is surpassed by no roc_auc"),
        ("gate/at_least", 0, "gate.at_least", "0 is surpassed by any roc_auc"),
        ("gate/at_least", float("nan"), "gate.at_least", "nan is no number that can be compared with"),
        ("gate/false_promotions", 1e-12, "gate.false_promotions", "no gain over 28 days is surer than"),
        ("label/above", float("inf"), "label.above", "inf is no number that can be compared with"),
        ("label/above", "x", "label.above", "'x' is no number"),
        ("keys", "carrier", "keys", "'carrier' is no list; write it in brackets"),
        ("keys", [], "keys", "is empty; 1 at least"),
        ("keys", ["carrier", "carrier"], "keys", "'carrier' is there twice"),
        ("keys", ["carrier", "dest"], "keys", "'dest' is none of the declared columns"),
        ("columns/origin", "string?", "columns.origin", "may not be missing ('?')"),
        ("time", "origin", "columns.origin", "is the time, so its type is 'timestamp'"),
        ("label/column", "carrier", "columns.carrier", "is the outcome's column, so its type is int, float or bool"),
        ("columns/delay", "flot", "columns.delay", "'flot' is no type of a column; there is: string, int"),
        ("columns/delay", 3, "columns.delay", "'3' is no column: write a type"),
        ("columns/delay", "float [a, b]", "columns.delay", "a range is of two numbers"),
        ("columns/delay", "float [9, 1]", "columns.delay", "the range ends before it begins"),
        ("columns/carrier", "string [1, 2]", "columns.carrier", "only int and float columns have a range"),
        ("columns/bad name", "int", "columns.bad name", "'bad name' is no name: letters, digits and '_'"),
        ("columns/bucket", "int", "columns.bucket", "is a name that Muster writes itself"),
        ("columns/Date", "date", "columns.Date", "is a name that Muster writes itself"),
        ("columns/DELAY", "int", "columns.DELAY", "differs from 'delay' by capitals only"),
        ("features", 3, "features", "3 is no section"),
        ("features/columns", [], "features.columns", "is empty; 1 at least"),
        ("features/columns", ["hour", "hour"], "features.columns.1", "'hour' is taken"),
        ("features/columns", ["label"], "features.columns.0", "'label' is taken"),
        ("features/columns", ["Label"], "features.columns.0", "'Label' is taken"),
        ("features/columns", ["hour", "Hour"], "features.columns.1", "'Hour' is taken"),
        ("features/columns", ["Carrier"], "features.columns.0", "'Carrier' is taken"),
        ("features/function", "nosuch:f", "features.function", "no module 'nosuch' is installed"),
        ("predictions/columns", ["nosuch"], "predictions.columns.0", "'nosuch' is none of the declared columns"),
        ("predictions/columns", ["delay", "delay"], "predictions.columns.1", "or have it twice; leave it out"),
        (
            "unique",
            "rows",
            "unique",
            "'rows' is neither a list nor 'row'; write the columns",
        ),
        ("unique", [], "unique", "is empty; write the columns that tell rows of a day apart, or 'row' where none do"),
        ("unique", ["row"], "unique", "'row' is none of the declared columns"),
        ("unique", 3, "unique", "3 is no list; write it in brackets"),
        ("time", {"column": "dep", "zone": "europe/berlin"}, "time.zone", "did you mean 'Europe/Berlin'?"),
        ("time", {"column": "dep", "zone": "CEST!"}, "time.zone", "'CEST!' is no time zone; "),
        ("time", {"column": "dep", "zone": 3}, "time.zone", "3 is no text"),
        ("time", {"column": "dep", "zon": "UTC"}, "time", "'zon' is no key of this section; there is: column, zone"),
        ("time", {"zone": "Europe/Berlin"}, "time", "names no column; write it as {column: at, zone: Europe/Berlin}"),
        ("time", {"column": "nosuch", "zone": "Asia/Tokyo"}, "time", "'nosuch' is none of the declared columns"),
        ("zone", "Europe/Berlin", "zone", "is no key of this section"),
        ("landing", "deliver", "landing", "'deliver': 'flights.py' defines no such function"),
        ("algorithms", {}, "algorithms", "is empty; 1 at least"),
        ("algorithms", "sklearn.svm.SVC", "algorithms", "'sklearn.svm.SVC' is no section"),
        ("algorithms/bad name", "sklearn.svm.SVC", "algorithms.bad name", "'bad name' is no name"),
        ("algorithms/one", "LogisticRegression", "algorithms.one.0", "is no class by its dotted name"),
        ("algorithms/one", "nosuch.Model", "algorithms.one.0", "no module 'nosuch' is installed"),
        ("algorithms/one", [], "algorithms.one.steps", "is empty"),
        ("algorithms/one", {"sklearn.svm.SVC": 3}, "algorithms.one.0", "write its dotted name, or {name: {parameter"),
        ("algorithms/one", {"steps": ["a.B", 3]}, "algorithms.one.1", "'3' is no estimator"),
        ("algorithms/one", {"search": {"grid": {"C": [1]}}}, "algorithms.one.steps", "is missing"),
        ("algorithms/logistic", SEARCHED | {"serch": 1}, "algorithms.logistic.serch", "did you mean 'search'?"),
        ("algorithms/logistic", SEARCHED | {"search": {}}, "algorithms.logistic.search.grid", "is missing"),
        (
            "algorithms/logistic",
            searched(C=1),
            "algorithms.logistic.search.grid.C",
            "1 is no list; write it in brackets",
        ),
        ("algorithms/logistic", searched(C=[]), "algorithms.logistic.search.grid.C", "is empty; 1 at least"),
        ("pack/fallback", "baselin", "pack.fallback", "'baselin' is none of 'baseline' or 'error'"),
        ("pack/fallback", {"keys": ["origin"], "share": 2}, "pack.fallback.share", "2 is too large"),
        ("pack/fallback", {"keys": ["dest"]}, "pack.fallback.keys", "'dest' is none of the keys"),
        ("pack/fallback", {"keys": ["carrier", "origin"]}, "pack.fallback.keys", "must leave out at least one key"),
        ("schedule/start", "2013-4-29", "schedule.start", "'2013-4-29' is no date; write it as 2013-05-06"),
        ("schedule/end", date(2013, 1, 1), "schedule.end", "is before the start 2013-04-29"),
        ("schedule/demo", [date(2013, 5, 1)], "schedule.demo.0", "starts no slice of 7 days from 2013-04-29"),
        ("schedule/end", date(9999, 12, 31), "schedule.end", "9999-12-31 is too large: 2199-12-31 at most"),
        ("schedule/every", 4_000_000, "schedule.every", "4000000 is too large: 3660 at most"),
        ("schedule/cron", "0 6 * *", "schedule.cron", "'0 6 * *' is no time of every Monday"),
        ("schedule/cron", "0 25 * * *", "schedule.cron", "write minute and hour so: '0 6 * * 1'"),
        ("schedule/cron", "60 6 * * 1", "schedule.cron", "is no time of every Monday"),
        ("schedule/cron", "0 6 31 2 *", "schedule.cron", "is no time of every Monday"),
        ("schedule/cron", "0 6 * * tue", "schedule.cron", "is no time of every Monday"),
        ("schedule/cron", "0 6 * * *", "schedule.cron", "is no time of every Monday"),
        ("schedule", {"start": date(2013, 4, 29), "every": 1, "cron": "0 6 * * 1"}, "schedule.cron", "'0 6 * * *'"),
        ("schedule", {"start": date(2013, 4, 29), "every": 30, "cron": "0 6 1 * *"}, "schedule.cron", "leave it out"),
        ("tags", ["x" * 101], "tags.0", "is too long: 100 characters at most"),
        ("tags", [*"abcdefghijklmnopqrstuvwxyz"] * 2, "tags", "has 52; 50 at most"),
        ("owner", "", "owner", "is empty; write some text"),
        ("name", "nights", "name", "'nights' is not the file's name 'flights'; leave it out"),
    ],
)
def test_problem_is_told_where_it_is_and_how_to_mend_it(
    declare: Declare, path: str, value: object, expected_path: str, expected: str
) -> None:
    messages = problems(declare({path: value}))
    assert list(messages) == [expected_path]
    assert expected in messages[expected_path]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("schedule.start", "2013-13-45", "'2013-13-45' is no date; write it as 2013-05-06"),
        ("schedule.start", "2013-04-29 00:00:00 +99:99", "is no date"),
        ("retries", "!!int abc", "'abc' is no whole number"),
        ("retries", "!!int ''", "'' is no whole number"),
        ("seed", "5" * 5_000, "is no whole number"),
        ("seed", "0x" + "f" * 5_000, "is no whole number"),
        ("label.above", "!!float high", "'high' is no number"),
        ("label.above", "!!timestamp now", "'now' is no number"),
        ("windows", "", "is empty, and has no default; write a value"),
        ("windows.train", "", "is empty, and has no default; write a value"),
        ("algorithms.logistic", "", "is empty; write a value, or leave it out"),
        ("algorithms.other.steps", "", "is empty, and has no default; write a value"),
        ("gate.win_rate", "", "is empty; write a value, or leave it out"),
        ("name", "", "is empty; write a value, or leave it out"),
        ("schedule.end", "!!bool perhaps", "'perhaps' is no date"),
    ],
)
def test_value_that_its_own_type_refuses_is_told_at_its_path(
    declare: Declare, path: str, text: str, expected: str
) -> None:
    file = declare({path.replace(".", "/"): "PLACE"})
    file.write_text(file.read_text().replace("PLACE", text))
    messages = problems(file)
    assert list(messages) == [path]
    assert expected in messages[path]


def test_very_many_problems_are_told_within_bounds(declare: Declare) -> None:
    file = declare()
    file.write_text("".join(f"{'k' * 300}{number}: {'v' * 300}\n" for number in range(400)))
    with pytest.raises(WorkloadError) as error:
        load_workload(file)
    assert error.value.problems[-1] == ("(file)", "has 359 more problems")
    assert len(str(error.value)) < 50_000


def test_time_may_bear_the_name_that_muster_gives_it(declare: Declare) -> None:
    file = declare()
    file.write_text(file.read_text().replace("dep", "time"))
    assert load_workload(file).time == "time"


@pytest.mark.parametrize(("every", "cron"), [(7, "0 6 * * 1"), (7, "30 23 * * MON"), (1, " 05  0 * * * ")])
def test_cron_comes_once_a_slice(declare: Declare, every: int, cron: str) -> None:
    assert load_workload(declare({"schedule/every": every, "schedule/cron": cron})).schedule.cron == cron


def test_any_error_of_a_check_is_the_files(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster.workload.checks.SECTION_CHECKS", (lambda workload: [1 / 0],))
    assert problems(declare()) == {"(file)": "cannot be checked: ZeroDivisionError: division by zero"}


def test_missing_python_file_is_told(declare: Declare) -> None:
    messages = problems(declare(code=None))
    assert messages == {"features.function": "'features': there is no file 'flights.py' beside the YAML to define it"}


def test_python_file_that_does_not_parse_is_told_with_its_line(declare: Declare) -> None:
    messages = problems(declare(code="import os\ndef features(rows:\n"))
    assert "'flights.py' is no Python" in messages["features.function"]
    assert "line 2" in messages["features.function"]


@pytest.mark.parametrize("code", ["(" * 5_000, "#" * 300_000, "x = '\0'", "-" * 100_000 + "1"])
def test_python_file_that_cannot_be_parsed_is_a_problem_like_another(declare: Declare, code: str) -> None:
    assert list(problems(declare(code=code))) == ["features.function"]


def test_workloads_code_is_not_run(declare: Declare) -> None:
    load_workload(declare(code="def features(rows): ...\nraise SystemExit('was run')"))


def test_imported_function_counts_as_defined(declare: Declare) -> None:
    load_workload(declare(code="from somewhere import calendar as features"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nseed: 2\n", "the key 'seed' is here twice"),
        ("windows: {train: 1, train: 2}\n", "the key 'train' is here twice"),
        ("keys: [", "expected the node content"),
        ("? [a]\n: 1\n", "a key is a single word"),
        ("a: !!python/object:os.system 1", "could not determine a constructor"),
        ("keys: !!set {a, b}", "could not determine a constructor"),
        ("a: &a [*a]", "line 1, column 8: '*a' is within what it stands for"),
        ('owner: "a\\0b"', "the character '\\x00' is neither text nor space"),
        ("description: '" + "x" * 300_000 + "'", "is larger than 256 KiB"),
        ("a: " + "[" * 3_000, "is nested deeper than 20 levels"),
        ("tags: [" + "a, " * 20_000 + "]", "no more than 10000 keys and values fit"),
        ("tags: [" + "a, " * 900_000 + "]", "is larger than 256 KiB"),
        (bomb("[{}]"), "no more than 10000 keys and values fit, aliases written out"),
        (bomb("{{<<: [{}]}}"), "no more than 10000 keys and values fit, aliases written out"),
        ("", "holds NoneType, not the sections of a workload"),
        ("- a\n", "holds list, not the sections of a workload"),
    ],
)
def test_file_that_is_no_mapping_is_told(declare: Declare, text: str, expected: str) -> None:
    file = declare()
    file.write_text(text)
    assert expected in problems(file)["(file)"]


def test_file_in_another_encoding_is_told(declare: Declare) -> None:
    file = declare()
    file.write_bytes("description: Flüge\n".encode("latin-1"))
    assert "utf-8" in problems(file)["(file)"]


def test_anchors_and_merges_may_be_used(declare: Declare) -> None:
    file = declare()
    file.write_text(file.read_text().replace("windows:", "windows:\n  <<: {min_rows: 99}"))
    assert load_workload(file).windows.min_rows == 99


def test_file_of_another_suffix_is_not_passed_over_without_a_word(declare: Declare) -> None:
    file = declare()
    other = file.rename(file.with_suffix(".yml"))
    assert problems(other) == {"(file)": "is not read by this name; rename it to 'flights.yaml'"}
    with pytest.raises(WorkloadError, match=r"rename it to 'flights\.yaml'"):
        find_workload("flights", file.parent)
    declare()
    assert find_workload("flights", file.parent).name == "flights"


def test_of_sound_files_that_differ_by_capitals_only_one_is_read_always_the_same(declare: Declare) -> None:
    file = declare()
    first, second, other = (_copy(file, name) for name in ("FLIGHTS", "Flights", "others"))
    told = "differs from 'flights.yaml' by capitals only, and that one is read; rename this one"
    assert [problems(twin) for twin in (first, second)] == [{"(file)": told}] * 2
    assert [load_workload(kept).name for kept in (file, other)] == ["flights", "others"]


@pytest.mark.parametrize("broken", ["", "a: [", "keys: [carrier]"])
@pytest.mark.parametrize(("kept", "bad"), [("flights", "Flights"), ("Flights", "flights")])
def test_a_file_that_does_not_load_by_itself_keeps_no_other_from_being_read(
    declare: Declare, broken: str, kept: str, bad: str
) -> None:
    file = declare()
    files = {file.stem: file, "Flights": _copy(file, "Flights")}
    files[bad].write_text(broken)
    assert load_workload(files[kept]).name == kept
    assert not any("capitals" in problem for problem in problems(files[bad]).values())


def _copy(file: Path, name: str) -> Path:
    shutil.copy(file.with_suffix(".py"), file.with_name(f"{name}.py"))
    return Path(shutil.copy(file, file.with_name(f"{name}.yaml")))


def test_unknown_workload_names_those_there_are(declare: Declare) -> None:
    with pytest.raises(UnknownName, match=r"no workload '\.\./flights'; there is: flights"):
        find_workload("../flights", declare().parent)


def test_folder_that_is_not_there_is_told_and_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(NoWorkloadFolder, match=rf"no folder of workloads '{tmp_path}/none'; set MUSTER_WORKLOADS"):
        find_workload("flights", tmp_path / "none")
    assert workload_files(tmp_path) == []
