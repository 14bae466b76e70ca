"""What people are told: what, since when, what was last done, what to do, which page of the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path

from muster.deadlines.message import late, over
from muster.deadlines.missed import REFUSED, RUNBOOK, Key, look
from muster_local import PROJECT
from tests.deadlines.watched import FIRST, end, utc, watched

SIX = utc("2024-07-08T06:00")


def test_a_message_says_what_since_when_what_was_last_done_what_to_do_and_where(tmp_path: Path) -> None:
    context = watched(tmp_path, time={"column": "at", "zone": "Europe/Berlin"})
    end(context, "ingest", "2024-07-01", "2024-07-08T03:00")
    message = late(context.workload, look(context, SIX).missed[0], "http://airflow:8080/")
    assert message.text.splitlines() == [
        "made: predictions of 2024-07-01 are late",
        "Since: 2024-07-08 06:00 Europe/Berlin (2024-07-08 04:00 UTC), by predictions_by: 06:00",
        "Last done: ingest, 2024-07-08 03:00 UTC",
        "Do: look at made.features: unpause it, clear what is red; without a run, trigger it with partition key "
        "2024-07-01",
        "Runbook: docs/operations.md#predictions-are-late",
        "Airflow: http://airflow:8080/dags/made.features",
    ]


def test_the_end_says_since_when_it_was_late_and_how_it_ended(tmp_path: Path) -> None:
    message = over(watched(tmp_path).workload, Key("champion"), SIX, "it is of partition 2024-07-01")
    assert message.text.splitlines() == [
        "made: over: the champion is old",
        "Since: 2024-07-08 06:00 UTC",
        "How: it is of partition 2024-07-01",
        "Runbook: docs/operations.md#the-champion-is-old",
    ]


def test_every_page_of_the_runbook_is_there() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    anchors = {
        title.lower().replace(" ", "-").replace("'", "") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }
    assert {place.partition("#")[2] for place in (*RUNBOOK.values(), REFUSED)} <= anchors


def test_a_webhooks_json_has_the_documented_fields_and_no_other(tmp_path: Path) -> None:
    context = watched(tmp_path)
    sent = json.loads(json.dumps(late(context.workload, look(context, utc("2024-01-08T06:00")).missed[0]).json))
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page[page.index("### What a webhook is sent") :].partition("\n#")[0]
    assert set(sent) == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert (sent["version"], sent["state"], sent["what"], sent["partition"]) == (1, "late", "predictions", FIRST)
    assert (sent["since"], sent["airflow"]) == ("2024-01-08T06:00:00+00:00", None)
