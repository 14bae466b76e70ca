"""`./muster backfill`: what it refuses before anything is asked of Airflow, and a look."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.settings import settings
from muster_local.cli import backfill, main
from tests.plugins.airflow_task import declare

RANGE = ("--from", "2024-01-08", "--to", "2024-01-15")


@pytest.fixture(autouse=True)
def no_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare a workload with slices of a week from 2024-01-01; whoever goes on to Airflow fails the test."""
    declare(tmp_path)
    monkeypatch.setenv("MUSTER_WORKLOADS", str(tmp_path))
    monkeypatch.setenv("MUSTER_STORE", str(tmp_path / "store"))
    settings.cache_clear()

    def asked(*_: object) -> None:
        raise AssertionError("Airflow was asked")

    monkeypatch.setattr(backfill, "_carry_out", asked)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["backfill", "made", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--from", "2024-01-22", "--to", "2024-01-08"], "is reversed"),
        (["--from", "2024-01-09", "--to", "2024-01-22"], "'2024-01-09' is no partition of made"),
        (["--from", "2023-12-25", "--to", "2024-01-22"], "partitions are every 7 days from 2024-01-01"),
        (["--from", "2024-01-08", "--to", "2099-01-05"], "has not ended"),
        (["--from", "2024-01-08"], "Missing option '--to'"),
        (["--from", "2024-01-08", "--to", "2024-01-15", "--stages", "train,publish"], "no stage 'publish'"),
        (
            ["--from", "2024-01-08", "--to", "2024-01-15", "--champion", "me"],
            "no champion 'me'; there is: as-of, today",
        ),
        (["--from", "2024-01-08", "--to", "2024-01-15", "--stages", "promote"], "ask for it with --promote"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_code_2(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert why in printed
    assert printed.count("\n") == 1


def test_a_look_names_partitions_and_stages_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", "2024-01-08", "--to", "2024-01-22", "--stages", "score, ingest", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "3 partitions, one at a time: 2024-01-08, 2024-01-15, 2024-01-22" in printed
    assert [line.split()[0] for line in printed.splitlines()[3:5]] == ["ingest", "score"]
    assert "nothing was started" in printed


def test_what_may_be_meant_goes_on_to_airflow() -> None:
    with pytest.raises(AssertionError, match="Airflow was asked"):
        main(["backfill", "made", "--from", "2024-01-08", "--to", "2024-01-15"])
