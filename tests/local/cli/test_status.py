"""`./muster status` on a narrow terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from muster.workload.stages import STAGE_NAMES
from muster_local.cli.status import _progress, _remarks

BEHIND = dict.fromkeys(STAGE_NAMES[:3], "2013-08-26") | dict.fromkeys(STAGE_NAMES[3:], "2013-08-19")


@pytest.mark.parametrize("count", [1, 6])
def test_each_workload_is_a_line_that_80_columns_hold(count: int) -> None:
    def item(number: int, partitions: dict[str, str]) -> dict[str, object]:
        return {"workload": f"flight_delays_{number}", "champion": "12", "partitions": partitions}

    items = [item(number, dict.fromkeys(STAGE_NAMES, f"2024-02-{number:02}")) for number in range(1, count + 1)]
    out = io.StringIO()
    Console(file=out, width=80).print(
        _progress([*items, item(7, BEHIND), item(8, {"ingest": "2024-02-08"}), item(9, {})])
    )
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()[1:]] == [
        *(f"flight_delays_{number} version 12 2024-02-{number:02}" for number in range(1, count + 1)),
        "flight_delays_7 version 12 ingest to train 2013-08-26, evaluate to score",
        "2013-08-19",
        "flight_delays_8 version 12 ingest 2024-02-08, features to score -",
        "flight_delays_9 version 12 -",
    ]


def test_what_a_workloads_line_does_not_hold_is_a_line_each() -> None:
    item = {"waiting": ["2024-02-05 has ended train"], "left_out": ["2024-01-15"], "out_of_date": "2: other keys"}
    assert _remarks(item) == [
        "2024-02-05 has ended train",
        "never ingested: 2024-01-15",
        "slices out of date: 2: other keys",
    ]
    assert _remarks({"waiting": [], "left_out": [], "out_of_date": None}) == []
