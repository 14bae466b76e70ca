"""What is drawn as one may be the rows of one value of a column."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut
from muster.evaluation.verdict import hold_reason
from muster.workload.spec import Gate, Workload
from tests.evaluation.conftest import WORKLOAD


def test_rows_of_one_value_of_a_column_are_drawn_as_one_as_those_of_a_day_are(bucket: Any) -> None:
    """By hand: the days as texts of a column give the very evidence that days give, whatever other groups there are."""
    days = [date(2024, 1, 23 + number % 7) for number in range(120)]

    def judged(resample: str, *groups: str) -> dict[str, Any]:
        gate = {**WORKLOAD["gate"], "resample": resample}
        columns = {**WORKLOAD["columns"], "shift": "string"}
        bucket.workload = Workload.model_validate({**WORKLOAD, "columns": columns, "gate": gate})
        for group in groups:
            bucket.add(group, bucket.model(1.0), champion=bucket.model(-1.0))
            rows = bucket.rows[group]
            values = {"date": pa.array(days, pa.date32())}
            values |= {"resample_by": pa.array([f"{day:%d}" for day in days])} if resample == "shift" else {}
            for name, column in values.items():
                rows = rows.set_column(rows.schema.get_field_index(name), name, column)
            bucket.rows[group] = rows
        decision: dict[str, Any] = bucket.judge()["m"]
        return decision

    by_day, by_shift = judged("day", "m"), judged("shift", "a", "m")
    assert by_day == by_shift
    assert by_shift["clusters"] == 7


def test_too_few_values_of_a_column_are_a_hold() -> None:
    rows = HeldOut(np.array([0.0, 1.0] * 50), Clusters.equal(np.arange(100) // 30))
    gate = Gate.model_validate({"resample": "shift"})
    assert hold_reason(gate, rows) == "too few values of gate.resample to judge on"
