"""Large groups: the same rows are sampled whatever their order and batches, and no other group loses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from muster.training.fit import FitPlan, fit_plan
from muster.training.large_groups import NONE, LargeGroups, TooManyRows, large_groups
from muster.training.run_name import run_name
from muster.workload.spec import Workload
from tests.training.conftest import PARTITION, context_of

LARGE = LargeGroups({"large": 6_000}, most=1_500)


@pytest.fixture
def rows(group_rows: Callable[..., pa.Table]) -> pa.Table:
    return pa.concat_tables([group_rows("large", rows=6_000), group_rows("small", rows=500)])


def kept(rows: pa.Table, large: LargeGroups = LARGE, batch: int = 1_000) -> set[tuple[str, str]]:
    keep = large.keep()
    assert keep is not None
    ids = [item for part in rows.to_batches(batch) for item in keep(part).select(["group", "row_id"]).to_pylist()]
    assert len(ids) == len({tuple(item.values()) for item in ids})
    return {(item["group"], item["row_id"]) for item in ids}


def test_about_as_many_rows_of_a_large_group_as_declared_are_kept_and_all_of_the_others(rows: pa.Table) -> None:
    by_group = [group for group, _ in kept(rows)]
    assert by_group.count("small") == 500
    assert by_group.count("large") == pytest.approx(1_500, abs=5 * (1_500 * 0.75) ** 0.5)


def test_the_sample_depends_on_neither_order_nor_batches(rows: pa.Table) -> None:
    assert kept(rows) == kept(rows.sort_by([("row_id", "descending")]), batch=77)


def test_it_has_rows_of_all_days_and_both_labels_in_their_shares(rows: pa.Table) -> None:
    keep = LARGE.keep()
    assert keep is not None
    large = pa.Table.from_batches(map(keep, rows.to_batches())).to_pandas().query("group == 'large'")
    assert large["label"].mean() == pytest.approx(0.5, abs=0.07)
    assert large["date"].value_counts(normalize=True).between(0.04, 0.11).all()
    assert large["date"].nunique() == 14


def test_another_seed_samples_others(rows: pa.Table) -> None:
    other = LargeGroups(LARGE.rows, LARGE.most, seed=1)
    assert kept(rows) != kept(rows, other)


def test_rows_of_one_id_on_two_days_are_drawn_apart(rows: pa.Table) -> None:
    again = rows.set_column(rows.schema.get_field_index("row_id"), "row_id", pa.array(["same"] * rows.num_rows))
    keep = LARGE.keep()
    assert keep is not None
    days = pa.Table.from_batches(map(keep, again.to_batches())).to_pandas().query("group == 'large'")["date"].nunique()
    assert 0 < days < 14


@pytest.mark.parametrize(
    ("section", "large"),
    [
        ({}, NONE),
        ({"large_groups": {"rows": 10}}, LargeGroups({"b": 11}, 10, True)),
        ({"large_groups": {"rows": 9, "then": "fail"}}, LargeGroups({"a": 10, "b": 11}, 9, False)),
    ],
)
def test_a_group_is_large_that_has_more_rows_than_declared(
    declare: Callable[..., Workload], section: Mapping[str, Any], large: LargeGroups
) -> None:
    assert large_groups(declare(**section), {"a": 10, "b": 11}) == large


def test_none_is_looked_at_where_no_group_is_large() -> None:
    assert LargeGroups(most=10).keep() is None


def test_a_group_that_is_not_to_be_sampled_is_refused_with_both_numbers() -> None:
    large = LargeGroups({"a": 12_000}, 1_000, sampled=False)
    large.check("b")
    with pytest.raises(TooManyRows, match=r"has 12,000 rows to train on, and large_groups\.rows is 1,000"):
        large.check("a")


def test_the_section_changes_a_runs_name_only_where_it_is_declared(
    declare: Callable[..., Workload], make_plan: Callable[..., FitPlan], folder: Any
) -> None:
    assert fit_plan(context_of(declare(), folder).at(PARTITION)).large is NONE
    sections = ({}, {"large_groups": {"rows": 10}}, {"large_groups": {"rows": 11}})
    names = [run_name(context_of(declare(**section), folder).at(PARTITION), {}) for section in sections]
    assert len(set(names)) == 3
    assert names[0] == run_name(context_of(declare(), folder).at(PARTITION), {})
