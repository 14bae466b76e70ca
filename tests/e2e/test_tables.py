"""Observations, features, ledger and models of two weeks against the raw files."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard
from deltalake import DeltaTable

from tests.conftest import RunningStack
from tests.e2e.conftest import Read
from tests.e2e.expected import Flights, Week
from tests.e2e.flights import days_needed

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def sample(week: Week, state: str = "trained") -> list[str]:
    """Return a dozen groups of every size, and the smallest parent."""
    ledger = week.ledger[week.ledger["state"] == state].sort_values("rows", kind="stable")
    own, parents = ledger.index[~ledger["parent"]], ledger.index[ledger["parent"]]
    return [*own[np.linspace(0, len(own) - 1, 12).astype(int)], *parents[:1]]


def test_observations_are_the_flights_each_once(read: Read, year: Flights) -> None:
    first, last = days_needed(year.declared)
    table = read("observations", columns=["row_id", "date", "group", "arr_delay", "temp", "built"])
    table, flown = table[(table["date"] >= first) & (table["date"] < last)], year.observed
    assert len(table) == len(flown)
    both = table.merge(flown, on="row_id", validate="one_to_one", suffixes=("", "_raw"))
    assert len(both) == len(flown)
    assert (both["group"] == both["group_raw"]).all()
    assert (both["date"] == both["day"]).all()
    for name in ("arr_delay", "temp", "built"):
        np.testing.assert_array_equal(both[name].astype(float), both[f"{name}_raw"])


def test_features_have_a_row_for_each_flight_and_each_parents_copy(read: Read, week: Week) -> None:
    table = read("features", columns=["group", "row_id", "date", "parent"])
    table = table[(table["date"] >= week.trained_from) & (table["date"] < week.ends)]
    expected = week.year.between(week.trained_from, week.ends)
    columns = ["group", "row_id"]
    assert not table.duplicated(columns).any()
    assert set(table[columns].itertuples(index=False, name=None)) == set(
        expected[columns].itertuples(index=False, name=None)
    )
    assert table["parent"].sum() == expected["parent"].sum()


def test_features_are_those_that_slow_loops_find(open_table: Callable[[str], DeltaTable], week: Week) -> None:
    names = week.year.declared["features"]["columns"]
    table = open_table("features").to_pyarrow_table(filters=[("group", "in", sample(week))]).to_pandas()
    of_group = dict(list(table.groupby("group")))
    for group in sample(week):
        expected = week.run_sample(group)
        rows = of_group[group].set_index("row_id").loc[expected.rows["row_id"]]
        np.testing.assert_allclose(rows[names].to_numpy(), expected.x, rtol=1e-12, atol=1e-12, err_msg=group)
        np.testing.assert_array_equal(rows["label"], expected.y)


def test_every_group_is_in_the_ledger_once_with_the_state_it_deserves(read: Read, week: Week) -> None:
    columns = ["parent", "rows", "positives", "reason", "state"]
    ledger = read("ledger", week.partition).set_index("group").sort_index()
    assert ledger["run"].nunique() == 1
    pd.testing.assert_frame_equal(ledger[columns], week.ledger[columns], check_names=False, check_dtype=False)
    assert ledger["error_class"].isna().all()


def test_models_are_the_trained_groups_from_the_training_days_only(read: Read, week: Week) -> None:
    models = read("models", week.partition).set_index("group").sort_index()
    trained = week.ledger[week.ledger["state"] == "trained"]
    assert list(models.index) == list(trained.index)
    assert (models["rows"] == trained["rows"]).all()
    np.testing.assert_allclose(models["prior"], trained["positives"] / trained["rows"], rtol=1e-15)
    assert set(models["train_from"]) == {week.trained_from}
    assert set(models["train_to"]) == {week.judged_from}


def test_coefficients_are_those_of_an_independent_fit(running_stack: RunningStack, read: Read, week: Week) -> None:
    models = read("models", week.partition).set_index("group")
    for group in sample(week):
        row = models.loc[group]
        model = load(running_stack.home / "store" / row["shard"], row)
        ours, theirs = model[-1], week.model(group)[-1]
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-12, err_msg=group)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9, err_msg=group)


def load(shard: Path, row: pd.Series) -> object:
    stored = shard.read_bytes()[row["offset"] : row["offset"] + row["length"]]
    assert hashlib.sha256(stored).hexdigest() == row["sha256"]
    return pickle.loads(zstandard.ZstdDecompressor().decompress(stored))
