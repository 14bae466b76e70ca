"""`./muster retry --dry-run`: what is due, from the tables, without Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from muster.settings import settings
from muster.storage.store import Store
from muster.storage.tables import LEDGER
from muster.training.expected_groups import ExpectedGroups
from muster_local.cli import main
from tests.plugins.airflow_task import PARTITION, declare
from tests.training import test_retry as attempts


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MUSTER_WORKLOADS", str(declare(tmp_path / "workloads").parent))
    settings.cache_clear()
    monkeypatch.setattr("muster.training.retry.expected_groups", lambda *_: ExpectedGroups(dict.fromkeys("abc", 1)))
    store = Store(str(tmp_path / "store"), "made")
    write_deltalake(store.table("features"), pa.table({"partition": [PARTITION]}))
    return store


def trained(store: Store, **ends: tuple[str, str | None]) -> None:
    row: dict[str, Any] = dict.fromkeys(LEDGER.names) | {"partition": PARTITION, "run": "r1", "attempt": 1}
    rows = [{**row, "group": group, "state": state, "reason": reason} for group, (state, reason) in ends.items()]
    write_deltalake(store.table("ledger"), pa.Table.from_pylist(rows, LEDGER), partition_by=["partition"])


def retry(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["retry", "made", "--partition", PARTITION, *options])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_what_is_due_is_listed_with_state_reason_and_attempts(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    trained(store, a=attempts.TRAINED, b=attempts.FAILED)
    code, out, _ = retry(capsys, "--dry-run", "--format", "json")
    assert (code, [(row["group"], row["state"], row["attempts"]) for row in json.loads(out)]) == (
        0,
        [("b", "failed", 1), ("c", "late", 0)],
    )
    assert "no such rate" in retry(capsys, "--dry-run", "--group", "b")[1]


def test_where_nothing_is_due_it_says_so_in_one_line_and_starts_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(store, a=attempts.TRAINED, b=attempts.TRAINED, c=attempts.TRAINED)
    code, out, _ = retry(capsys)
    assert (code, out) == (0, f"made {PARTITION}: no group failed, was stale or came late: nothing to retry.\n")


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--group", "a"], 2, "'a' was trained: clear train"),
        (["--group", "zz"], 2, "'zz' is no group of it"),
        (["--format", "xml"], 2, "no format 'xml'"),
        (["--partition", "2024-02-12"], 1, "made 2024-02-12 was not trained yet"),
    ],
)
def test_what_cannot_be_retried_is_refused_with_the_rule(
    store: Store, capsys: pytest.CaptureFixture[str], options: list[str], code: int, why: str
) -> None:
    trained(store, a=attempts.TRAINED, b=attempts.FAILED)
    ended, _, err = retry(capsys, "--dry-run", *options)
    assert ended == code
    assert why in err
