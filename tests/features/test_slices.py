"""Which slices of features a partition builds, and which are out of date."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from muster.context import Context
from muster.features.content import slice_facts
from muster.features.made_from import difference, slice_days
from muster.features.slices import (
    NoObservations,
    OtherCarried,
    OtherFeatures,
    OutOfDate,
    Slices,
    check_carried,
    check_up_to_date,
    out_of_date,
    slices_to_build,
)
from muster.ingest.arrivals import day_facts
from muster.storage.delta import replace_rows
from muster.storage.evolution import OtherColumns, OtherZone, RequiredColumn
from muster.storage.provenance import write_facts
from muster.storage.store import Store, TableVersion, table_id
from muster.storage.tables import features_schema, observations_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from tests.kept import fill

DECLARED: Mapping[str, Any] = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 15},
    "features": {"columns": ["hour"], "lookback": 3},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
}
PARTITION = "2024-01-29"
OWN = """
import math

SCALE = 2.0

def features(rows):
    return rows.assign(hour=_hour(rows))[["hour"]]

def _hour(rows):
    return SCALE * rows["at"].dt.hour

def deliver(landed):
    return []
"""


class Line:
    """Ingest and features without their rows' values: what they write down, and which files they leave."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store(str(folder), "made")
        self.declare()
        self.write_code(OWN)

    def declare(self, **changes: Any) -> None:
        self.workload = Workload.model_validate({**DECLARED, **changes})

    def write_code(self, text: str) -> None:
        (self.folder / "made.py").write_text(text)

    @property
    def context(self) -> Context:
        return Context(self.workload, self.folder, self.store)

    def ingest(self, *days: str, content: str = "1:a", known: bool = True) -> None:
        """Replace days of `observations`; without `known` as a Muster did that wrote nothing down about them."""
        rows = [{"place": "a", "date": date.fromisoformat(day)} for day in days if content != "0:0"]
        table = pa.Table.from_pylist(rows, observations_schema(self.workload))
        where = ", ".join(f"'{day}'" for day in days)
        replace_rows(self.store, "observations", table, f"date IN ({where})")
        if known:
            brought = dict.fromkeys(map(date.fromisoformat, days), "1 bytes, 1")
            write_facts(self.store, day_facts(self.store, brought, dict.fromkeys(brought, content)))

    def slices(self, partition: str = PARTITION) -> Slices:
        return slices_to_build(self.context.at(partition))

    def build(
        self, partition: str = PARTITION, known: bool = True, content: Mapping[str, str] = MappingProxyType({})
    ) -> list[str]:
        """Build what a partition has to, with rows of these digests by day; return the slices."""
        slices = self.slices(partition)
        names = [str(first) for first in slices.first_days]
        spans = {first: slice_days(self.workload, first).days() for first in slices.first_days}
        rows = [
            {"group": "a", "date": day, "partition": str(first), "bucket": 0}
            for first, days in spans.items()
            for day in days
            if day in slices.sources.contents
        ]
        where = ", ".join(f"'{name}'" for name in slices.replaced)
        table = pa.Table.from_pylist(rows, features_schema(self.workload))
        replace_rows(self.store, "features", table, f"partition IN ({where})")
        if known:
            write_facts(self.store, slice_facts(slices.sources, slices.first_days, content))
        return names

    def optimize(self) -> None:
        """Rewrite all files of `features`."""
        table = self.store.open("features")
        assert table is not None
        table.optimize.z_order(["group"])

    def built(self) -> list[str]:
        return sorted({row["partition"] for row in self.rows()})

    def rows(self) -> list[dict[str, Any]]:
        table = self.store.open("features")
        return [] if table is None else table.to_pyarrow_table(columns=["partition", "date"]).to_pylist()

    def out_of_date(self) -> dict[str, str]:
        windows = self.context.at(PARTITION).windows
        reasons = out_of_date(self.context, DateRange(windows.history.start, windows.score.stop))
        return {str(first): why for first, why in sorted(reasons.items())}


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


WEEKS = ("2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29")


@pytest.fixture
def built(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Four slices that the partition looks at, with a day each, built."""

    def make() -> None:
        line.ingest(*WEEKS)
        assert line.build() == list(WEEKS)

    fill(line.folder, "slices", make, tmp_path_factory)
    return line


def test_the_first_run_builds_every_observed_slice_of_its_windows(line: Line) -> None:
    line.ingest("2024-01-03", "2024-01-10", "2024-01-22", "2024-01-31")
    slices = line.slices()
    assert [str(first) for first in slices.first_days] == ["2024-01-08", "2024-01-22", "2024-01-29"]
    assert slices.days == DateRange(date(2024, 1, 8), date(2024, 2, 5))
    assert slices.observed == [
        DateRange(date(2024, 1, 5), date(2024, 1, 15)),
        DateRange(date(2024, 1, 19), date(2024, 2, 5)),
    ]


def test_later_runs_build_their_own_slice_again_and_no_earlier_one(built: Line) -> None:
    slices = built.slices()
    assert (slices.first_days, slices.reasons) == ([date(2024, 1, 29)], {})
    assert slices.observed == [DateRange(date(2024, 1, 26), date(2024, 2, 5))]
    assert built.out_of_date() == {}


def test_days_ingested_again_with_equal_rows_make_nothing_out_of_date(built: Line) -> None:
    built.ingest(*WEEKS)
    assert built.slices().reasons == {}


def test_a_slice_that_nothing_was_ingested_of_is_refused(line: Line) -> None:
    line.ingest("2024-01-28")
    with pytest.raises(NoObservations, match="hold no day of the slice from 2024-01-29; run ingest first"):
        line.slices()


def test_a_slice_in_which_nothing_happened_is_built_all_the_same(line: Line) -> None:
    line.ingest("2024-01-28")
    slices = slices_to_build(line.context.at(PARTITION), quiet=lambda: True)
    assert [str(first) for first in slices.first_days] == ["2024-01-22", "2024-01-29"]


CODE = {
    "its own lines": OWN.replace("hour=_hour", "hour=1 + _hour"),
    "what it calls": OWN.replace("dt.hour", "dt.minute"),
    "a constant that this uses": OWN.replace("2.0", "3.0"),
}


@pytest.mark.parametrize("text", CODE.values(), ids=CODE)
def test_another_feature_function_makes_all_out_of_date(built: Line, text: str) -> None:
    built.write_code(text)
    assert built.out_of_date() == dict.fromkeys(WEEKS, "another feature function")
    assert built.build() == list(WEEKS)
    assert built.out_of_date() == {}


@pytest.mark.parametrize("text", [OWN.replace("return []", "return 1"), OWN.replace("import math", "# no import")])
def test_comments_and_other_functions_of_the_file_do_not(built: Line, text: str) -> None:
    built.write_code(text)
    assert built.out_of_date() == {}


DECLARATIONS = {
    "another label": {"label": {"column": "delay", "above": 5}},
    "other keys": {"keys": ["at"]},
    "other columns in 'unique'": {"unique": ["at"]},
    "other columns": {"columns": {**DECLARED["columns"], "weather": "string?"}},
    "other features": {"features": {"columns": ["hour"], "lookback": 4}},
    "other buckets": {"features": {"columns": ["hour"], "lookback": 3, "buckets": 3}},
    "other parents": {"pack": {"fallback": {"keys": []}}},
}


def test_another_zone_makes_all_out_of_date_and_none_is_built_of_rows_that_were_read_in_it(built: Line) -> None:
    assert "zone" not in built.slices().sources.of(date(2024, 1, 8))
    built.declare(time={"column": "at", "zone": "Europe/Berlin"})
    assert built.out_of_date() == dict.fromkeys(WEEKS, "another time zone")
    with pytest.raises(OtherZone, match=r"2024-01-08, .* read in the zone UTC, and declared is Europe/Berlin now; dec"):
        built.build()
    days = dict.fromkeys(built.store.days("observations"), "1 bytes, 1")
    write_facts(built.store, day_facts(built.store, days, dict.fromkeys(days, "1:a"), zone="Europe/Berlin"))
    assert built.build() == list(WEEKS)
    assert built.out_of_date() == {}
    built.declare()
    assert built.out_of_date() == dict.fromkeys(WEEKS, "another time zone")
    with pytest.raises(OtherZone, match=r"in the zone Europe/Berlin, and declared is UTC now"):
        built.build()


WEIGHED: dict[str, Any] = {"columns": {**DECLARED["columns"], "fares": "float", "seats": "int"}, "weight": "fares"}


def test_another_weight_makes_all_out_of_date_and_none_declared_is_what_older_facts_say(line: Line) -> None:
    line.declare(columns=WEIGHED["columns"])
    line.ingest(*WEEKS)
    line.build()
    older = {name: value for name, value in line.slices().sources.of(date(2024, 1, 8)).items() if name != "weight"}
    assert difference(older, line.slices().sources.of(date(2024, 1, 8))) is None
    line.declare(**WEIGHED)
    assert line.out_of_date() == dict.fromkeys(WEEKS, "another weight")
    with pytest.raises(OtherFeatures, match="has other columns than are declared now; move"):
        line.build()
    shutil.rmtree(line.store.table("features"))
    line.build()
    assert line.out_of_date() == {}
    line.declare(**WEIGHED | {"weight": "seats"})
    assert line.out_of_date() == dict.fromkeys(WEEKS, "another weight")
    assert line.build() == list(WEEKS)
    assert line.out_of_date() == {}


@pytest.mark.parametrize(("why", "changes"), DECLARATIONS.items(), ids=DECLARATIONS)
def test_another_declaration_makes_all_out_of_date(built: Line, why: str, changes: dict[str, Any]) -> None:
    built.declare(**changes)
    assert built.out_of_date() == dict.fromkeys(WEEKS, why)
    assert built.slices().reasons == {date.fromisoformat(week): why for week in WEEKS}


def test_what_an_older_muster_did_not_look_at_is_unknown(built: Line) -> None:
    sources = built.slices().sources
    older = {name: value for name, value in sources.of(date(2024, 1, 8)).items() if name != "unique"}
    assert difference(older, sources.of(date(2024, 1, 8))) == "another version of Muster"


UNRELATED = {
    "seed": {"seed": 1},
    "range": {"columns": {**DECLARED["columns"], "delay": "float? [0, 9]"}},
    "start": {"schedule": {"start": "2024-01-08"}},
    "gate": {"gate": {"win_rate": 0.8}},
}


@pytest.mark.parametrize("changes", UNRELATED.values(), ids=UNRELATED)
def test_what_decides_no_feature_does_not(built: Line, changes: dict[str, Any]) -> None:
    built.declare(**changes)
    assert built.out_of_date() == {}


LANDED_AGAIN: Mapping[str, Any] = {
    "a day within": ("2024-01-15", "2024-01-15", ["2024-01-15"]),
    "a day that the next slice looks back on": ("2024-01-08", "2024-01-13", ["2024-01-08", "2024-01-15"]),
    "the last day before a lookback": ("2024-01-08", "2024-01-11", ["2024-01-08"]),
}


@pytest.mark.parametrize(("partition", "day", "slices"), LANDED_AGAIN.values(), ids=LANDED_AGAIN)
def test_other_rows_of_a_day_reach_all_that_was_made_from_them_and_no_more(
    built: Line, partition: str, day: str, slices: list[str]
) -> None:
    built.ingest(day, content="2:b")
    assert built.out_of_date() == dict.fromkeys(slices, f"other rows of {day}")
    assert built.build(partition) == slices
    assert built.out_of_date() == {}


def test_a_slice_that_is_known_to_have_no_row_was_built(line: Line) -> None:
    line.ingest("2024-01-08", "2024-01-22")
    line.build("2024-01-22")
    write_facts(line.store, slice_facts(line.slices("2024-01-22").sources, [date(2024, 1, 15)], {}))
    assert line.out_of_date() == {}
    line.ingest("2024-01-15")
    assert line.out_of_date() == {"2024-01-15": "other rows of 2024-01-15"}
    assert line.build("2024-01-08") == ["2024-01-08", "2024-01-15"]


def test_a_day_that_lost_its_rows_is_another_day(built: Line) -> None:
    built.ingest("2024-01-15", content="0:0")
    assert built.build() == ["2024-01-15", "2024-01-29"]


def test_a_late_day_of_an_earlier_slice_is_built(line: Line) -> None:
    line.declare(schedule={"start": "2024-01-08", "every": 2}, windows={"train": 4, "evaluate": 2})
    line.ingest("2024-01-08", "2024-01-10", "2024-01-11", "2024-01-12", "2024-01-14")
    assert line.build("2024-01-14") == ["2024-01-08", "2024-01-10", "2024-01-12", "2024-01-14"]
    line.ingest("2024-01-13", "2024-01-16")
    assert line.build("2024-01-16") == ["2024-01-12", "2024-01-14", "2024-01-16"]


def test_what_another_muster_built_is_built_once_again_and_its_days_are_told_by_their_files(line: Line) -> None:
    line.ingest(*WEEKS, known=False)
    line.build(known=False)
    with pytest.raises(OutOfDate, match=r"2024-01-08 \(nothing says what it was made from\), .*; run features for"):
        check_up_to_date(line.context.at(PARTITION), DateRange(date(2024, 1, 8), date(2024, 1, 29)))
    assert line.out_of_date() == dict.fromkeys(WEEKS, "nothing says what it was made from")
    assert line.slices().reasons == {date.fromisoformat(first): why for first, why in line.out_of_date().items()}
    assert line.build() == list(WEEKS)
    assert line.slices().reasons == {}
    line.ingest("2024-01-15", known=False)
    assert line.build() == ["2024-01-15", "2024-01-29"]


SCHEDULES: Mapping[str, Any] = {
    # every: before, now; the slices that stand after the partition of now was built
    "shorter": (2, 1, "2024-01-12", [f"2024-01-{day:02}" for day in range(8, 14)]),
    "longer": (1, 2, "2024-01-12", ["2024-01-08", "2024-01-10", "2024-01-12"]),
    "shorter, begun in the middle of a slice": (3, 2, "2024-01-14", [f"2024-01-{day:02}" for day in (8, 10, 12, 14)]),
}


@pytest.mark.parametrize("facts", ["of their files", "of other files", "of another schedule", "none"])
@pytest.mark.parametrize(("before", "now", "partition", "after"), SCHEDULES.values(), ids=SCHEDULES)
def test_with_other_slices_every_day_is_there_once(
    line: Line, before: int, now: int, partition: str, after: list[str], facts: str
) -> None:
    days = [f"2024-01-{day:02}" for day in range(8, 14)]

    def declare(every: int) -> None:
        line.declare(schedule={"start": "2024-01-08", "every": every}, windows={"train": 2, "evaluate": 2})

    line.ingest(*days)
    if facts == "of another schedule":
        declare(now)
        for first in days[::now]:
            line.build(first)
    declare(before)
    for first in days[::before]:
        line.build(first, known=facts.startswith("of") and facts != "of another schedule")
    if facts == "of other files":
        line.optimize()
    declare(now)
    if partition not in days:
        days.append(partition)
        line.ingest(partition)
    line.build(partition)
    assert line.built() == after
    assert sorted(str(row["date"]) for row in line.rows()) == days


def test_a_stage_that_learns_refuses_what_is_out_of_date_with_the_reason(built: Line) -> None:
    days = DateRange(date(2024, 1, 8), date(2024, 1, 29))
    check_up_to_date(built.context.at(PARTITION), days)
    built.ingest("2024-01-15", content="2:b")
    built.ingest("2024-01-29", content="2:b")  # is not learnt from
    problem = (
        r"made: features are out of date.*: 2024-01-15 \(other rows of 2024-01-15\); run features for 2024-01-29 ag"
    )
    with pytest.raises(OutOfDate, match=problem):
        check_up_to_date(built.context.at(PARTITION), days)


REWRITES: Mapping[str, tuple[Callable[[Line], object], tuple[str, ...]]] = {
    "by OPTIMIZE": (lambda line: line.optimize(), WEEKS),
    "by a job that was killed before its facts": (lambda line: line.build(known=False), (PARTITION,)),
}


@pytest.mark.parametrize(("rewrite", "slices"), REWRITES.values(), ids=REWRITES)
def test_a_slice_whose_facts_are_all_about_other_files_is_out_of_date(
    built: Line, rewrite: Callable[[Line], object], slices: tuple[str, ...]
) -> None:
    rewrite(built)
    why = dict.fromkeys(slices, "rewritten since it was built")
    assert built.out_of_date() == why
    assert built.slices().reasons == {date.fromisoformat(first): reason for first, reason in why.items()}
    built.build()
    assert built.out_of_date() == {}


def test_a_table_of_other_columns_is_not_mixed_with_these(built: Line) -> None:
    built.declare(features={"columns": ["hour", "weekday"]})
    with pytest.raises(OtherFeatures, match=r"has other columns than are declared now; move '.*features' away"):
        built.slices()


def test_once_it_was_moved_away_the_slices_of_the_windows_are_built_into_another(built: Line) -> None:
    built.declare(features={"columns": ["hour", "weekday"], "lookback": 3})
    shutil.move(built.store.table("features"), f"{built.store.table('features')}_before")
    assert built.out_of_date() == dict.fromkeys(WEEKS, "not built")
    assert built.build() == built.built() == list(WEEKS)
    assert built.out_of_date() == {}


COLUMNS: Mapping[str, tuple[dict[str, str], Callable[..., Any], str]] = {
    "of another type": (
        {"place": "int", "at": "timestamp", "delay": "float?"},
        OtherColumns,
        r"'place' is string in the table, int64 declared; .* rewritten: .*muster migrate made",
    ),
    "with other capitals": (
        {"Place": "string", "at": "timestamp", "delay": "float?"},
        OtherColumns,
        r"'place' has other capitals in the table than 'Place' declared; .* rewritten: .*muster migrate made",
    ),
    "new and required": (
        {**DECLARED["columns"], "weather": "string"},
        RequiredColumn,
        r"no value of the new column 'weather'; declare it as one that may be missing: 'string\?'",
    ),
}


@pytest.mark.parametrize(("columns", "error", "problem"), COLUMNS.values(), ids=COLUMNS)
def test_observations_that_do_not_read_as_declared_are_refused_with_what_to_do(
    built: Line, columns: dict[str, str], error: type[Exception], problem: str
) -> None:
    named = [name for name in columns if name.lower() == "place"]
    built.declare(columns=columns, keys=named, unique=[*named, "at"])
    with pytest.raises(error, match=problem):
        built.slices()


@pytest.mark.parametrize(
    ("before", "now", "problem"),
    [
        ({}, {}, None),
        ({"resample": "place"}, {"resample": "place"}, None),
        ({"resample": "place"}, {"resample": "row"}, None),
        ({"resample": "place"}, {"resample": "town"}, "'gate.resample: place', and declared is 'gate.resample: town'"),
        ({}, {"resample": "town"}, "'gate.resample: none', and declared is 'gate.resample: town'"),
        ({"weight": "size"}, {"weight": "size"}, None),
        ({"weight": "size"}, {"weight": "fares"}, "'weight: size', and declared is 'weight: fares'"),
        ({}, {"weight": "fares"}, "'weight: none', and declared is 'weight: fares'"),
        ({"weight": "size"}, {}, "'weight: size', and declared is 'weight: none'"),
    ],
)
def test_candidates_are_judged_by_the_columns_that_their_features_carry(
    line: Line, before: dict[str, str], now: dict[str, str], problem: str | None
) -> None:
    columns = {**DECLARED["columns"], "town": "string", "size": "float", "fares": "float"}

    def declare(changes: dict[str, str]) -> None:
        gate = {"gate": {"resample": changes["resample"]}} if "resample" in changes else {}
        weight = {"weight": changes["weight"]} if "weight" in changes else {}
        line.declare(columns=columns, **gate, **weight)

    declare(before)
    line.ingest(*WEEKS)
    line.build()
    table = line.store.open("features")
    assert table is not None
    trained_on, partition = TableVersion(table.version(), table_id(table)), WEEKS[-1]
    declare(now)
    with pytest.raises(OtherCarried, match=problem) if problem else nullcontext():
        check_carried(line.context.at(partition), trained_on)
    check_carried(line.context.at(partition), None)  # no group was trained
