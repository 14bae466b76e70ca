"""What a backfill may be asked for, and which partitions that is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from muster.backfill.request import AS_OF, TODAY, Backfill, RangeRefused, Request, chosen_stages, partitions_of
from muster.errors import UnknownName, WrongArgument
from muster.workload.load import load_workload
from muster.workload.spec import Workload
from muster.workload.stages import STAGE_NAMES
from muster.workload.windows import NotAPartition
from tests.plugins.airflow_task import declare

NOW = date(2024, 3, 1)
FORM: dict[str, Any] = {"workload": "made", "from": "2024-01-08", "to": "2024-01-22"}


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    """Slices of a week from 2024-01-01 on."""
    return load_workload(declare(tmp_path))


def test_a_range_has_both_its_ends(workload: Workload) -> None:
    assert partitions_of(workload, "2024-01-08", "2024-01-22", today=NOW) == ["2024-01-08", "2024-01-15", "2024-01-22"]


@pytest.mark.parametrize(
    ("first", "last", "error", "why"),
    [
        ("2024-01-22", "2024-01-08", RangeRefused, "is reversed; name the earlier partition first"),
        ("2024-01-09", "2024-01-22", NotAPartition, "'2024-01-09' is no partition of made"),
        ("2024-01-08", "2024-01-23", NotAPartition, "'2024-01-23' is no partition of made"),
        ("8.1.2024", "2024-01-22", NotAPartition, "a partition is written as 2024-01-01"),
        ("2023-12-25", "2024-01-22", NotAPartition, "every 7 days from 2024-01-01"),
        ("2024-01-08", "2024-02-26", RangeRefused, "the slice of partition '2024-02-26' has not ended"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_in_one_line(
    workload: Workload, first: str, last: str, error: type[WrongArgument], why: str
) -> None:
    with pytest.raises(error, match=why) as raised:
        partitions_of(workload, first, last, today=NOW)
    assert "\n" not in str(raised.value)


def test_a_slice_that_ends_today_has_ended(workload: Workload) -> None:
    assert partitions_of(workload, "2024-02-26", "2024-02-26", today=date(2024, 3, 4)) == ["2024-02-26"]


def test_a_thousand_partitions_are_not_begun_by_a_slip_of_the_keyboard(workload: Workload) -> None:
    first, last, later = "2024-01-01", "2043-02-23", date(2044, 1, 1)
    with pytest.raises(RangeRefused, match=r"are 1,000 partitions; where that is meant, add --yes"):
        partitions_of(workload, first, last, today=later)
    assert len(partitions_of(workload, first, last, today=later, many=True)) == 1000
    assert len(partitions_of(workload, first, "2043-02-16", today=later)) == 999


def test_promotion_is_part_of_it_only_where_that_is_said() -> None:
    assert chosen_stages((), promote=False) == tuple(stage for stage in STAGE_NAMES if stage != "promote")
    assert chosen_stages((), promote=True) == STAGE_NAMES
    assert chosen_stages(("score", "evaluate"), promote=True) == ("evaluate", "promote", "score")
    with pytest.raises(WrongArgument, match="ask for it with --promote"):
        chosen_stages(("promote",), promote=False)


def test_a_strange_stage_or_champion_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownName, match=r"no stage 'publish'; there is: evaluate, features, ingest"):
        Request.of_form({**FORM, "stages": ["publish"]})
    with pytest.raises(UnknownName, match=r"no champion 'yesterday'; there is: as-of, today"):
        Request.of_form({**FORM, "champion": "yesterday"})


def test_a_request_is_the_same_after_a_form() -> None:
    request = Request.of_form({**FORM, "stages": ["score"], "champion": TODAY})
    assert Request.of_form(request.form()) == Request.of_run(request.form()) == request
    assert (request.stages, request.champion, request.promote) == (("score",), TODAY, False)
    assert Request.of_form({**FORM, "stages": None, "champion": None}).champion == AS_OF


def test_a_look_is_no_backfill() -> None:
    assert Request.of_run({**FORM, "dry_run": True}) is None
    assert Request.of_run({**FORM, "stages": ["publish"], "dry_run": False}) is None


@pytest.mark.parametrize(
    ("first", "last", "workload", "overlaps"),
    [
        ("2024-01-22", "2024-02-05", "made", True),
        ("2024-01-01", "2024-01-08", "made", True),
        ("2024-01-29", "2024-02-05", "made", False),
        ("2024-01-08", "2024-01-22", "other", False),
    ],
)
def test_two_overlap_that_share_a_partition_of_a_workload(first: str, last: str, workload: str, overlaps: bool) -> None:
    one, other = Request.of_form(FORM), Request.of_form({"workload": workload, "from": first, "to": last})
    assert one.overlaps(other) is other.overlaps(one) is overlaps


def test_what_a_run_knows_of_it_survives_its_way_through_json() -> None:
    backfill = Backfill("manual__1", ("ingest", "score"), TODAY, who="ann")
    assert Backfill.of_conf(backfill.as_conf()) == Backfill("manual__1", ["ingest", "score"], TODAY, who="ann")
    assert Backfill.of_conf(False) is Backfill.of_conf(None) is None
