"""What the record of a table says of names that the workload's checks know too."""

from __future__ import annotations

from muster.storage.tables import PREDICTIONS
from muster.workload.spec import PREDICTED


def test_no_declared_column_takes_the_place_of_one_that_predictions_have() -> None:
    assert {*PREDICTIONS.names, "predicted"} == PREDICTED
