"""An error of the feature function for one group is that group's matter alone."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from muster.features.compute import BadFeatures, FeatureFunction, compute, row_schema
from muster.features.each_group import FeaturesFailed, check_failed, compute_each, feature_errors
from muster.storage.tables import FEATURE_ERROR
from muster.workload.windows import DateRange
from tests.features.test_compute import ALL, WORKLOAD, hour_and_label, observations


def failing_for(*groups: str, by: type[BaseException] = ValueError) -> FeatureFunction:
    def own(rows: pd.DataFrame) -> pd.DataFrame:
        if broken := sorted(set(groups) & set(rows["group"])):
            raise by(f"scale of\n{broken[0]}")
        return hour_and_label(rows)

    return own


def test_the_other_groups_rows_are_as_ever_and_the_groups_own_have_no_features_but_a_reason() -> None:
    computed = compute_each(WORKLOAD, failing_for("b,1"), observations(), ALL)
    whole = compute(WORKLOAD, hour_and_label, observations(), ALL)
    own = pa.compute.equal(computed["group"], "b,1")
    assert computed.schema == row_schema(WORKLOAD)
    assert computed.filter(pa.compute.invert(own)).equals(whole.filter(pa.compute.invert(own)))
    failed = computed.filter(own)
    assert failed.select(["row_id", "time", "label"]).equals(whole.filter(own).select(["row_id", "time", "label"]))
    assert (failed["hour"].null_count, failed["late"].null_count) == (2, 2)
    assert failed[FEATURE_ERROR].to_pylist() == ["ValueError: scale of b,1"] * 2
    assert feature_errors(computed) == {"b,1": "ValueError: scale of b,1"}


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_a_function_that_ends_the_process_ends_it_for_its_group_alone(error: type[BaseException]) -> None:
    computed = compute_each(WORKLOAD, failing_for("b,1", by=error), observations(), ALL)
    assert feature_errors(computed) == {"b,1": f"{error.__name__}: scale of b,1"}


def test_a_function_is_not_asked_about_no_rows() -> None:
    computed = compute(WORKLOAD, lambda rows: rows["no such column"], observations().slice(0, 0), ALL)
    assert (computed.schema, computed.num_rows) == (row_schema(WORKLOAD), 0)


def test_without_an_error_it_is_what_compute_gives() -> None:
    days = DateRange(date(2024, 1, 2), date(2024, 1, 3))
    computed = compute_each(WORKLOAD, hour_and_label, observations(), days)
    assert computed.equals(compute(WORKLOAD, hour_and_label, observations(), days))
    assert feature_errors(computed) == {}


def test_a_result_that_is_refused_for_one_group_is_that_groups_error() -> None:
    def texts(rows: pd.DataFrame) -> pd.DataFrame:
        result = hour_and_label(rows)
        return result.astype(object) if "b,1" in set(rows["group"]) else result

    [(group, error)] = feature_errors(compute_each(WORKLOAD, texts, observations(), ALL)).items()
    assert group == "b,1"
    assert error.startswith("BadFeatures: feature function 'features' of made: 'hour' is of type object")


def test_a_function_that_fails_for_too_many_groups_is_named_with_what_it_raised() -> None:
    errors = {f"g{number}": "KeyError: 'kg'" for number in range(6)}
    check_failed(WORKLOAD, errors, groups=12)
    with pytest.raises(FeaturesFailed, match=r"made failed for 6 of 11 groups, .* allows: KeyError: 'kg' \(6\); 'try'"):
        check_failed(WORKLOAD, errors, groups=11)


def late_before(rows: pd.DataFrame) -> pd.DataFrame:
    """Forget groupby: a group's first row gets the label of another group's last one."""
    return hour_and_label(rows).assign(late=rows["label"].shift())


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    if rows["group"].nunique() == 1:
        raise ValueError("too few to rank")
    return hour_and_label(rows)


def test_a_function_whose_features_depend_on_the_other_groups_of_the_bucket_is_refused() -> None:
    with pytest.raises(BadFeatures, match=r"'late' is nan for group 'b,1' by itself, and [01] among .*groupby"):
        compute_each(WORKLOAD, late_before, observations(), ALL)
    with pytest.raises(BadFeatures, match=r"fails for group 'b,1' by itself, and not among .* too few to rank"):
        compute_each(WORKLOAD, ranked, observations(), ALL)


def test_what_goes_over_the_rows_of_a_group_may_differ_in_its_last_digits() -> None:
    def noisy(rows: pd.DataFrame) -> pd.DataFrame:
        return hour_and_label(rows).assign(late=1.0 + 1e-9 * len(rows))

    assert feature_errors(compute_each(WORKLOAD, noisy, observations(), ALL)) == {}


def test_a_group_that_is_quiet_in_the_slice_does_not_keep_the_others_from_being_compared() -> None:
    rows = observations()
    quiet = rows.filter(pa.compute.equal(rows["group"], "b,1")).slice(0, 1)
    named = quiet.set_column(quiet.schema.get_field_index("group"), "group", pa.array(["c,1"]))
    early = pa.array([rows["date"][0].as_py() - timedelta(days=9)], rows["date"].type)
    dated = named.set_column(named.schema.get_field_index("date"), "date", early)
    with pytest.raises(BadFeatures, match="for group 'b,1' by itself"):
        compute_each(WORKLOAD, late_before, pa.concat_tables([rows, dated]), ALL)
