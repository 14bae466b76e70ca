"""The predictions of two weeks: a row for each flight, each by the model that should answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.e2e.answers import answers
from tests.e2e.conftest import Read
from tests.e2e.expected import Week

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_predictions_are_a_row_for_each_flight_with_the_right_answer(
    read: Read, weeks: tuple[Week, Week], week: Week
) -> None:
    so_far = weeks[: weeks.index(week) + 1]
    predictions = read("predictions", week.partition)
    assert len(predictions) == len(week.scored.rows)
    expected = answers(so_far, [read("decisions", one.partition) for one in so_far], week.scored)
    expected = expected.set_index(week.scored.rows["row_id"])
    predictions = predictions.set_index("row_id").loc[expected.index]
    np.testing.assert_allclose(predictions["score"], expected["score"], rtol=0, atol=1e-9)
    for name in ("origin_run", "fallback"):
        pd.testing.assert_series_equal(predictions[name], expected[name], check_dtype=False)
    assert set(predictions["model_version"]) == {str(len(so_far))}
    assert (predictions["group"].to_numpy() == week.scored.rows["group"].to_numpy()).all()
    assert (predictions["time"].dt.tz_localize(None).to_numpy() == week.scored.rows["time"].to_numpy()).all()


def test_both_own_models_and_the_fallback_answer(read: Read, week: Week) -> None:
    fallback = read("predictions", week.partition)["fallback"]
    assert fallback.isna().any()
    assert fallback.notna().any()


def test_flights_without_an_outcome_are_scored_too(read: Read, week: Week) -> None:
    unknown = week.scored.rows["row_id"][np.isnan(week.scored.y)]
    assert len(unknown) > 0
    assert set(unknown) <= set(read("predictions", week.partition)["row_id"])
