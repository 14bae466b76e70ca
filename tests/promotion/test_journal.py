"""The journal of the alias, as it grows older than its columns."""

from __future__ import annotations

from typing import Any

import pytest
from deltalake import write_deltalake

Line = Any
pytestmark = pytest.mark.slow


def test_a_journal_begun_before_groups_had_models_of_their_own_goes_on(served: Line) -> None:
    for partition, against in ((served.first, None), (served.second, "1")):
        run = served.train(partition, {"A,X": 1.0 if against else -1.0})
        served.decide(partition, run, {"A,X": "promote"}, against)
        served.promote(partition)
        table = served.store.open("alias_journal")
        if against is None:
            older = table.to_pyarrow_table().drop_columns("group")
            write_deltalake(table.table_uri, older, mode="overwrite", schema_mode="overwrite")
    assert [(move["to_version"], move["group"]) for move in served.moves] == [("1", None), ("2", None)]
