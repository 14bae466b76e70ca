"""Alerts through Airflow's own hooks to a real SMTP server and a real HTTP server, by the task of the DAG."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muster.errors import WorkloadError
from muster.settings import settings
from muster.workload.load import load_workload
from muster_airflow import channels
from muster_airflow.exceptions import NotTold
from muster_airflow.operators.deadlines import DeadlinesOperator
from tests.plugins.airflow_task import WORKLOAD, context_of, declare
from tests.plugins.receivers import Mails, Posts, mail_server, web_server

EVERYONE = "[{smtp: mail, to: [a@b.org, c@d.org]}, {slack: chat}, {webhook: pager}]"
TOKEN = "T000/B000/s3cret"
LATE, OVER = "made: predictions of {} are late", "made: over: predictions of {} are late"


class Watched:
    """The task of a workload whose predictions are late: nothing of it has ever run."""

    def __init__(self, folder: Path) -> None:
        self.file = declare(folder)
        self.alert(EVERYONE)

    def alert(self, alerts: str) -> None:
        declared = f"deadlines: {{predictions_by: '00:01'}}\nalerts: {alerts}\n"
        self.file.write_text(WORKLOAD.replace("2024-01-01", "2024-01-01, end: 2024-02-05") + declared, encoding="utf-8")

    partition = "2024-02-05"

    def look(self) -> dict[str, Any]:
        return DeadlinesOperator(task_id="made", workload=str(self.file)).execute(context_of(None))  # type: ignore[arg-type]

    def score(self) -> None:
        folder = Path(settings().store_root, "results", "made", "score")
        folder.mkdir(parents=True)
        (folder / f"{self.partition}-a.json").write_text("{}")


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mails]:
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", server.connection())
        yield server


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    with web_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", server.slack(TOKEN))
        monkeypatch.setenv("AIRFLOW_CONN_PAGER", server.connection("/muster", extra={"X-From": "muster"}))
        yield server


@pytest.fixture
def watched(tmp_path: Path, home: Path) -> Watched:
    return Watched(tmp_path / "workloads")


def test_everyone_is_told_once_and_once_when_it_is_over(watched: Watched, mails: Mails, posts: Posts) -> None:
    late, over = (subject.format(watched.partition) for subject in (LATE, OVER))
    assert watched.look() == {"missed": [late], "over": [], "sent": 4}
    assert watched.look() == {"missed": [late], "over": [], "sent": 0}
    watched.score()
    assert watched.look() == {"missed": [], "over": ["predictions of 2024-02-05"], "sent": 4}
    assert watched.look()["sent"] == 0
    assert [(to, subject) for (to, _), subject in zip(mails.got, mails.subjects, strict=True)] == [
        (["a@b.org"], late),
        (["c@d.org"], late),
        (["a@b.org"], over),
        (["c@d.org"], over),
    ]
    assert [(path, body["text"].splitlines()[0]) for path, _, body in posts.got] == [
        (f"/{TOKEN}", late),
        ("/muster", late),
        (f"/{TOKEN}", over),
        ("/muster", over),
    ]


def test_a_mail_says_all_of_it_and_is_no_html_of_somebody_elses(
    watched: Watched, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example")
    watched.alert("[{smtp: mail, to: [a@b.org]}]")
    skipped = Path(settings().store_root, "results", "made", "await_data")
    skipped.mkdir(parents=True)
    (skipped / f"{watched.partition}-a.json").write_text(json.dumps({"late": "no <b>file</b> & \r\nBcc: x@y.org"}))
    watched.look()
    mail = mails.got[0][1]
    assert (mail["From"], mail["To"], mail["Bcc"]) == ("muster@b.org", "a@b.org", None)
    part = mail.get_payload(0)
    assert not isinstance(part, str)
    content = part.get_payload(decode=True)  # type: ignore[union-attr]
    assert isinstance(content, bytes)
    text = content.decode()
    assert "Why: no &lt;b&gt;file&lt;/b&gt; &amp;" in text
    assert "<br>Runbook: docs/operations.md#predictions-are-late" in text
    assert "docs/operations.md" in text


def test_a_webhook_gets_json_with_its_connections_headers(watched: Watched, posts: Posts) -> None:
    watched.alert("[{webhook: pager}]")
    watched.look()
    ((path, headers, body),) = posts.got
    assert (path, headers["X-From"], headers["Content-Type"]) == ("/muster", "muster", "application/json")
    assert (body["state"], body["workload"], body["partition"]) == ("late", "made", watched.partition)
    assert body["since"] == "2024-02-12T00:01:00+00:00"


def test_what_slack_takes_for_marks_is_written_so_that_it_is_text(watched: Watched, posts: Posts) -> None:
    watched.alert("[{slack: chat}]")
    skipped = Path(settings().store_root, "results", "made", "await_data")
    skipped.mkdir(parents=True)
    (skipped / f"{watched.partition}-a.json").write_text(json.dumps({"late": "<!channel> & <@U1>"}))
    watched.look()
    (body,) = posts.bodies
    assert "Why: &lt;!channel&gt; &amp; &lt;@U1&gt;" in body["text"]
    assert body["mrkdwn"] is False


def test_a_receiver_that_is_down_is_told_when_it_is_back_and_the_others_not_again(
    watched: Watched, mails: Mails, posts: Posts
) -> None:
    posts.answer = 503
    with pytest.raises(NotTold, match=r"slack chat: HTTP 503, webhook pager: HTTP 503"):
        watched.look()
    assert (len(mails.got), posts.got) == (2, [])
    posts.answer = 200
    assert watched.look()["sent"] == 2
    assert (len(mails.got), len(posts.got)) == (2, 2)


def test_a_server_that_is_not_there_holds_up_no_other(
    watched: Watched, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as gone:
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", gone.connection())
    with pytest.raises(NotTold, match=r"smtp mail a@b.org: ConnectionRefusedError: Connection refused, "):
        watched.look()
    assert len(posts.got) == 2


def test_an_address_that_is_refused_fails_by_itself(watched: Watched, mails: Mails) -> None:
    watched.alert("[{smtp: mail, to: [a@b.org, c@d.org]}]")
    mails.unknown = ["a@b.org"]
    for _ in range(2):
        with pytest.raises(NotTold, match=r"smtp mail a@b.org: SMTPRecipientsRefused: code 550; the others"):
            watched.look()
    assert [to for to, _ in mails.got] == [["c@d.org"]]


@pytest.mark.parametrize("answer", [302, 404, 500])
def test_what_a_webhook_does_not_take_was_not_told(watched: Watched, posts: Posts, answer: int) -> None:
    watched.alert("[{webhook: pager}]")
    posts.answer = answer
    with pytest.raises(NotTold, match=rf"webhook pager: HTTP {answer}"):
        watched.look()


@pytest.mark.parametrize("alert", ["{smtp: nobody, to: [a@b.org]}", "{slack: nobody}", "{webhook: nobody}"])
def test_a_connection_that_is_not_there_is_named(watched: Watched, alert: str) -> None:
    watched.alert(f"[{alert}]")
    with pytest.raises(NotTold, match=r" nobody.*: Airflow has no such connection"):
        watched.look()


def test_no_secret_of_a_connection_is_in_error_or_store_and_an_addresss_path_is_masked_in_logs(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as gone:
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", gone.slack(TOKEN))
        monkeypatch.setenv(
            "AIRFLOW_CONN_PAGER", gone.connection("/hooks/s3cret?key=k3y", password="s3cret", login="ann")
        )
    watched.alert("[{slack: chat}, {webhook: pager}]")
    masked: list[str] = []
    monkeypatch.setattr(channels, "mask_secret", masked.append)
    with pytest.raises(NotTold) as error:
        watched.look()
    assert error.value.__cause__ is None
    assert "s3cret" not in str(error.value)
    told = Path(settings().store_root, "results", "made", "deadlines", "told.json").read_text()
    assert "s3cret" not in told
    assert masked == ["hooks/s3cret", "key=k3y"]  # which Airflow's HTTP hook logs where nobody answers


PROCESS = """
import sys
from airflow.sdk.log import configure_logging
configure_logging(colored_console_log=False)  # as in Airflow's own task process: secrets are masked
from muster_airflow.operators.deadlines import DeadlinesOperator
from tests.plugins.airflow_task import context_of
DeadlinesOperator(task_id="made", workload=sys.argv[1]).execute(context_of(None))
"""


def process(watched: Watched, **connections: str) -> subprocess.Popen[str]:
    """Start a process of the task."""
    env = {**os.environ, **connections, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    task = [sys.executable, "-c", PROCESS, str(watched.file)]
    return subprocess.Popen(task, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_task_that_is_killed_before_it_writes_down_what_arrived_sends_it_once_more(
    watched: Watched, posts: Posts
) -> None:
    watched.alert("[{webhook: pager}]")
    with process(watched) as task:
        posts.before_answer = task.kill
        task.communicate(timeout=120)
    assert (task.returncode, len(posts.got)) == (-signal.SIGKILL, 1)
    posts.before_answer = lambda: None
    assert [watched.look()["sent"] for _ in range(2)] == [1, 0]
    assert [body["state"] for body in posts.bodies] == ["late", "late"]
    assert len({body["id"] for body in posts.bodies}) == 1


@pytest.mark.slow
def test_a_tasks_log_has_no_secret_where_nobody_answers(watched: Watched) -> None:
    with web_server() as gone:
        hook = gone.connection("/hooks/s3cret?key=k3y", login="ann", password="pa55word")
        chat = gone.slack(TOKEN)
    watched.alert("[{slack: chat}, {webhook: pager}]")
    with process(watched, AIRFLOW_CONN_CHAT=chat, AIRFLOW_CONN_PAGER=hook) as task:
        log = task.communicate(timeout=120)[0]
    assert "could not tell slack chat: " in log
    assert "Tenacity will retry" in log  # the line of Airflow's that names the address
    assert [secret for secret in ("s3cret", "k3y", "pa55word") if secret in log] == []


def test_a_yaml_that_is_refused_is_told_as_the_reason_once_predictions_are_late(watched: Watched, posts: Posts) -> None:
    watched.alert("[{webhook: pager}]\nretries: many")
    assert watched.look()["sent"] == 1
    (body,) = posts.bodies
    assert body["why"] == "its YAML is refused, so nothing of it runs: retries: 'many' is no whole number"
    assert body["runbook"] == "docs/operations.md#a-workloads-yaml-is-refused"
    watched.alert("[{webhook: pager}]")
    assert watched.look()["sent"] == 0  # it is late all the same, and everyone knows


def test_a_yaml_that_is_refused_for_its_alerts_is_looked_at_and_who_was_told_stays_told(
    watched: Watched, posts: Posts
) -> None:
    for alerts, sent in (("[{webhook: pager}]", 1), ("[{webhook: pager, slack: chat}]", 0), ("[{webhook: pager}]", 0)):
        watched.alert(alerts)
        assert watched.look() == {"missed": [LATE.format(watched.partition)], "over": [], "sent": sent}


def test_a_yaml_without_dates_fails_the_task(watched: Watched) -> None:
    watched.file.write_text("keys: [", encoding="utf-8")
    with pytest.raises(WorkloadError):
        watched.look()


def test_the_workload_is_read_anew_at_each_look(watched: Watched, posts: Posts) -> None:
    watched.alert("[{webhook: pager}]")
    watched.look()
    watched.file.write_text(WORKLOAD, encoding="utf-8")
    assert watched.look() == {"missed": [], "over": ["predictions of 2024-02-05"], "sent": 0}
    assert load_workload(watched.file).alerts == ()
