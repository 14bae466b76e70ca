"""What every declared workload must hold: features know neither their future nor other groups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from muster import groups
from muster.features.compute import FeatureFunction, compute
from muster.trial.point_in_time import FUTURE, PAST, check_point_in_time
from muster.workload.functions import function
from muster.workload.load import workload_files
from muster.workload.spec import Workload
from muster.workload.windows import DateRange
from tests.workloads.conftest import FOLDER, Landed

NAMES = [file.stem for file in workload_files(FOLDER)]
DAYS = 14
"""Days that features are computed of, after a full lookback."""
SHARE = 8
"""One group of so many is looked at."""
ALONE = 12
"""So many of those are also computed each by itself."""


class Case:
    """A workload's function and a sample of its groups, with a full lookback before the days computed."""

    def __init__(self, landed: Landed) -> None:
        self.workload: Workload = landed.workload
        self.own: FeatureFunction = function(self.workload, FOLDER, self.workload.features.function)
        start = landed.days[0] + timedelta(days=self.workload.features.lookback + 7)
        self.days = DateRange(start, start + timedelta(days=DAYS))
        rows = landed.observations(DateRange(landed.days[0], self.days.stop))
        self.rows = rows.filter(pa.array([groups.bucket(name, SHARE) == 0 for name in rows["group"].to_pylist()]))

    def features(self, rows: pa.Table) -> pd.DataFrame:
        return compute(self.workload, self.own, rows, self.days).to_pandas()


@pytest.fixture(params=NAMES, scope="module")
def case(request: pytest.FixtureRequest, landed: Callable[[str], Landed]) -> Case:
    data = landed(request.param)
    if not data.workload.landing:
        pytest.skip("declares no data of its own")
    return Case(data)


def test_features_know_neither_later_rows_nor_their_days_outcomes(case: Case) -> None:
    computed = compute(case.workload, case.own, case.rows, case.days)
    checked = check_point_in_time(case.workload, case.own, case.rows, computed)
    assert len(checked.days) > 1
    assert checked.leaks == ()


def test_changed_later_rows_change_no_earlier_feature(case: Case) -> None:
    day, column = case.days.stop - timedelta(days=5), case.workload.outcome.column
    assert column is not None
    later = pc.greater_equal(case.rows["date"], day)
    outcome = case.rows[column]
    turned = pc.subtract(20, outcome).cast(outcome.type)  # yes is no now, and a number another
    number = case.rows.schema.get_field_index(column)
    changed = case.rows.set_column(number, column, pc.if_else(later, turned, outcome))
    columns = ["row_id", *case.workload.features.columns]
    before, after = case.features(case.rows), case.features(changed)
    same = before["date"] <= day
    pd.testing.assert_frame_equal(before.loc[same, columns], after.loc[same, columns])
    assert not before["label"].equals(after["label"])


def test_a_group_alone_has_the_features_that_it_has_among_others(case: Case) -> None:
    together = case.features(case.rows)
    names = together["group"].unique()[:ALONE]
    apart = [case.features(case.rows.filter(pc.equal(case.rows["group"], name))) for name in names]
    assert len(names) > 1
    among = together[together["group"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.concat(apart, ignore_index=True), among)


def test_the_declared_estimator_can_learn_from_the_features(case: Case) -> None:
    features = case.features(case.rows)
    values = features[list(case.workload.features.columns)].to_numpy()
    assert not np.isinf(values).any()
    kinds = features["label"].nunique()
    assert kinds > 2 if case.workload.outcome.regression else kinds == 2


def leaking(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a record that counts the day itself, and one that counts all that there is."""
    today = rows.groupby(["group", "date"])["label"].transform("mean")
    always = rows.groupby("group")["label"].transform(lambda label: label.shift().expanding().sum())
    return pd.DataFrame({"today": today, "always": always}, index=rows.index)


def test_the_check_finds_a_feature_that_knows_too_much(landed: Callable[[str], Landed]) -> None:
    case = Case(landed("flight_delays"))
    columns = case.workload.features.model_copy(update={"columns": ("today", "always")})
    workload = case.workload.model_copy(update={"features": columns})
    computed = compute(workload, leaking, case.rows, case.days)
    leaks = {(leak.feature, leak.knows) for leak in check_point_in_time(workload, leaking, case.rows, computed).leaks}
    assert ("today", FUTURE) in leaks
    assert {feature for feature, _ in leaks} == {"today", "always"}
    assert {knows for _, knows in leaks} <= {FUTURE, PAST}
