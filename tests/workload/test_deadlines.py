"""The sections `deadlines` and `alerts`: how they are written, and what could never hold or reach nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muster.errors import WorkloadError
from muster.workload.deadlines import Alert, ByTime, Deadlines
from muster.workload.load import load_sound_part
from tests.workload.test_outcome import loaded, problems

OUTCOME = {"regression": {"column": "kg"}}
MONDAYS = {"start": "2024-01-01", "cron": "30 6 * * 1"}
BY = {"deadlines": {"predictions_by": "06:00"}}


def found_in(tmp_path: Path, **sections: Any) -> dict[str, str]:
    """Return the problems, none where there are none."""
    try:
        loaded(tmp_path, outcome=OUTCOME, **sections)
    except WorkloadError as error:
        return dict(error.problems)
    return {}


def test_without_the_sections_nothing_is_looked_at_and_nobody_told(tmp_path: Path) -> None:
    workload = loaded(tmp_path, outcome=OUTCOME)
    assert (workload.deadlines, workload.alerts) == (None, ())


def test_times_days_and_connections_are_read_as_they_are_written(tmp_path: Path) -> None:
    declared = {"data_by": "03:00", "predictions_by": "+1d 06:00", "champion_no_older_than": "60d"}
    alerts = [{"smtp": "mail", "to": ["a@b.org", "c@d.org"]}, {"slack": "slack-alerts"}, {"webhook": "pager.x"}]
    workload = loaded(tmp_path, outcome=OUTCOME, deadlines=declared, alerts=alerts)
    assert workload.deadlines is not None
    assert (workload.deadlines.data_by, workload.deadlines.predictions_by) == (ByTime(0, 180), ByTime(1, 360))
    assert workload.deadlines.champion_no_older_than == 60
    kinds = [(alert.kind, alert.connection, alert.to) for alert in workload.alerts]
    assert kinds == [
        ("smtp", "mail", ("a@b.org", "c@d.org")),
        ("slack", "slack-alerts", ()),
        ("webhook", "pager.x", ()),
    ]


def test_what_is_dumped_reads_as_it_was() -> None:
    declared = Deadlines.model_validate({"predictions_by": "+1d 06:05"})
    assert Deadlines.model_validate(declared.model_dump(mode="json")) == declared


@pytest.mark.parametrize(
    ("section", "where", "problem"),
    [
        ({}, "", "declares nothing; write one of data_by, predictions_by, champion_no_older_than"),
        ({"data_by": 630}, ".data_by", "'630' is no time of day; write it in quotes"),
        ({"data_by": "24:00"}, ".data_by", "'24:00' is no time of day"),
        ({"data_by": "6 am"}, ".data_by", "'6 am' is no time of day"),
        ({"predictions_at": "06:00"}, ".predictions_at", "did you mean 'predictions_by'?"),
        ({"champion_no_older_than": "6d"}, ".champion_no_older_than", "6 is too small: a champion is 7 days old"),
        ({"data_by": "06:01", "predictions_by": "06:00"}, ".data_by", "'06:01' is after predictions_by, '06:00'"),
        ({"data_by": "00:00"}, ".data_by", "'00:00' can never hold: partition 2024-01-01 is due at 00:00 UTC only"),
    ],
)
def test_a_deadline_that_is_none_or_never_holds_is_refused_with_what_to_write(
    tmp_path: Path, section: dict[str, Any], where: str, problem: str
) -> None:
    ((path, told),) = problems(tmp_path, outcome=OUTCOME, deadlines=section).items()
    assert path == f"deadlines{where}"
    assert problem in told


@pytest.mark.parametrize(("by", "holds"), [("06:30", False), ("06:31", True), ("+1d 00:00", True)])
def test_predictions_cannot_be_there_before_the_cron_of_their_partition(tmp_path: Path, by: str, holds: bool) -> None:
    found = found_in(tmp_path, schedule=MONDAYS, deadlines={"predictions_by": by})
    assert list(found) == ([] if holds else ["deadlines.predictions_by"])


@pytest.mark.parametrize(("by", "holds"), [("06:00", False), ("06:31", True)])
def test_a_cron_that_comes_later_on_the_clocks_of_summer_counts_as_such(tmp_path: Path, by: str, holds: bool) -> None:
    """04:30 UTC is 05:30 in Berlin's winter and 06:30 in its summer."""
    zoned = {"time": {"column": "at", "zone": "Europe/Berlin"}, "schedule": {**MONDAYS, "cron": "30 4 * * 1"}}
    found = found_in(tmp_path, **zoned, deadlines={"predictions_by": by})
    assert list(found) == ([] if holds else ["deadlines.predictions_by"])
    assert holds or "partition 2024-03-25 is due at 06:30 Europe/Berlin" in found["deadlines.predictions_by"]


@pytest.mark.parametrize(
    ("alert", "where", "problem"),
    [
        ({}, "", "names none of smtp, slack, webhook: write exactly one"),
        ({"slack": "a", "webhook": "b"}, "", "names slack and webhook of smtp, slack, webhook"),
        ({"smtp": "a"}, "", "has no 'to'"),
        ({"slack": "a", "to": ["a@b.org"]}, "", "has 'to', which is of smtp"),
        ({"slack": "https://hooks.slack.com/x"}, ".slack", "is no id of an Airflow connection"),
        ({"smtp": "a", "to": ["a@b.org\nBcc: c@d.org"]}, ".to.0", "is no address of mail"),
        ({"smtp": "a", "to": ["a@b.org,c@d.org"]}, ".to.0", "is no address of mail"),
        ({"slak": "a"}, ".slak", "did you mean 'slack'?"),
    ],
)
def test_an_alert_that_reaches_nobody_is_refused(
    tmp_path: Path, alert: dict[str, Any], where: str, problem: str
) -> None:
    ((path, told),) = problems(tmp_path, outcome=OUTCOME, **BY, alerts=[alert]).items()
    assert path == f"alerts.0{where}"
    assert problem in told


def test_alerts_of_nothing_and_alerts_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, outcome=OUTCOME, alerts=[{"slack": "a"}])
    assert "nothing to tell of without 'deadlines'" in found["alerts"]
    found = problems(tmp_path, outcome=OUTCOME, **BY, alerts=[{"slack": "a"}, {"slack": "b"}, {"slack": "a"}])
    assert list(found) == ["alerts.2"]


def test_an_alert_tells_by_what_it_goes() -> None:
    assert Alert(webhook="pager").connection == "pager"


def test_what_is_sound_of_a_refused_yaml_has_its_dates_and_their_zone(tmp_path: Path) -> None:
    zoned = {"time": {"column": "at", "zone": "Europe/Berlin"}}
    with pytest.raises(WorkloadError):
        loaded(tmp_path, outcome=OUTCOME, **zoned, **BY, retries="many")
    workload, refused = load_sound_part(tmp_path / "parcels.yaml")
    assert refused == "retries: 'many' is no whole number"
    assert (workload.zone, workload.schedule.every, workload.deadlines) == (
        "Europe/Berlin",
        7,
        Deadlines(predictions_by=ByTime(0, 360)),
    )


def test_without_sound_dates_it_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError):
        loaded(tmp_path, outcome=OUTCOME, windows={"train": "long"})
    with pytest.raises(WorkloadError, match=r"windows\.train: 'long' is no whole number"):
        load_sound_part(tmp_path / "parcels.yaml")
