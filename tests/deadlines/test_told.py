"""Who is told what, and how often: once, also after a kill, a channel that is down, another list of channels."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest

from muster.context import Context
from muster.deadlines.message import Message
from muster.deadlines.told import FILE, Channel, Report, Told, channels, tell
from muster.storage.store import Store
from muster.workload.deadlines import Alert
from tests.deadlines.watched import FIRST, SECOND, end_all, utc, watched
from tests.object_store import ObjectStore

PAGER, MAIL = {"webhook": "pager"}, {"smtp": "mail", "to": ["a@b.org", "c@d.org"]}
LATE, OVER = f"made: predictions of {FIRST} are late", f"made: over: predictions of {FIRST} are late"
SIX, SEVEN = "2024-01-08T06:00", "2024-01-08T07:00"


class Killed(BaseException):
    """A process's end."""


class Receivers:
    """What has arrived where; `down` ones take nothing, and one that is killed takes it before."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.down: Collection[str] = ()
        self.error: Exception = ConnectionRefusedError(111, "Connection refused")
        self.killed: str = ""

    def send(self, channel: Channel, message: Message) -> None:
        self.asked.append(str(channel))
        if str(channel) in self.down:
            raise self.error
        self.got.append((str(channel), message.subject))
        if str(channel) == self.killed:
            raise Killed

    def take(self) -> list[tuple[str, str]]:
        got, self.got = self.got, []
        return got


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


def told(context: Context, at: str, receivers: Receivers) -> Report:
    return tell(context, utc(at), receivers.send)


def of(tmp_path: Path, *alerts: dict[str, Any]) -> Context:
    return watched(tmp_path, alerts=list(alerts))


def test_each_channel_is_told_once_and_once_more_when_it_is_over(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, PAGER, MAIL)
    everyone = ["webhook pager", "smtp mail a@b.org", "smtp mail c@d.org"]
    told(context, SIX, receivers)
    assert receivers.take() == [(one, LATE) for one in everyone]
    for minute in (5, 10, 15):
        told(context, f"2024-01-08T06:{minute:02}", receivers)
    assert receivers.take() == []
    end_all(context, FIRST, "2024-01-08T06:20")
    told(context, SEVEN, receivers)
    assert receivers.take() == [(one, OVER) for one in everyone]
    told(context, "2024-01-08T07:05", receivers)
    assert receivers.take() == []


def test_a_channel_that_is_down_is_told_later_and_no_other_twice(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, PAGER, MAIL)
    receivers.down = ["webhook pager"]
    report = told(context, SIX, receivers)
    assert [str(one.channel) for one in report.not_reached] == ["webhook pager"]
    (not_told,) = Told.read(context.store).not_told()
    assert not_told.startswith(f"webhook pager could not be told yet of predictions of {FIRST}: ")
    assert [channel for channel, _ in receivers.take()] == ["smtp mail a@b.org", "smtp mail c@d.org"]
    receivers.down = ()
    assert told(context, SEVEN, receivers).not_reached == []
    assert list(Told.read(context.store).not_told()) == []
    assert receivers.take() == [("webhook pager", LATE)]


def test_one_refused_address_holds_up_no_other_and_doubles_none(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, MAIL)
    receivers.down, receivers.error = ["smtp mail a@b.org"], SMTPRecipientsRefused({})
    for at in (SIX, SEVEN):
        told(context, at, receivers)
    assert receivers.take() == [("smtp mail c@d.org", LATE)]


def test_a_server_that_does_not_answer_is_asked_for_one_address_alone(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, MAIL, {"smtp": "other", "to": ["a@b.org"]})
    receivers.down, receivers.error = ["smtp mail a@b.org"], TimeoutError()
    report = told(context, SIX, receivers)
    assert receivers.asked == ["smtp mail a@b.org", "smtp other a@b.org"]
    assert [str(one.channel) for one in report.not_reached] == ["smtp mail a@b.org", "smtp mail c@d.org"]
    receivers.down = ()
    assert len(told(context, SEVEN, receivers).sent) == 2


def test_who_was_down_all_the_while_is_told_at_least_that_it_was_late(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, PAGER)
    receivers.down = ["webhook pager"]
    told(context, SIX, receivers)
    end_all(context, FIRST, "2024-01-08T06:20")
    told(context, "2024-01-08T06:25", receivers)
    receivers.down = ()
    told(context, SEVEN, receivers)
    assert receivers.take() == [("webhook pager", OVER)]


def test_killed_between_sending_and_writing_it_down_it_is_sent_again_and_never_lost(
    tmp_path: Path, receivers: Receivers
) -> None:
    context = of(tmp_path, PAGER, MAIL)
    receivers.killed = "smtp mail a@b.org"
    with pytest.raises(Killed):
        told(context, SIX, receivers)
    assert receivers.take() == [("webhook pager", LATE), ("smtp mail a@b.org", LATE)]
    receivers.killed = ""
    told(context, SEVEN, receivers)
    assert receivers.take() == [("smtp mail a@b.org", LATE), ("smtp mail c@d.org", LATE)]


def test_killed_before_sending_it_is_known_though_it_is_over_when_anybody_looks_again(
    tmp_path: Path, receivers: Receivers
) -> None:
    context = of(tmp_path, PAGER, MAIL)
    receivers.killed = "webhook pager"
    with pytest.raises(Killed):
        told(context, SIX, receivers)
    receivers.take()
    receivers.killed = ""
    end_all(context, FIRST, "2024-01-08T06:20")
    told(context, SEVEN, receivers)
    assert ("smtp mail a@b.org", OVER) in receivers.take()


def test_a_message_that_is_sent_twice_has_one_id(tmp_path: Path) -> None:
    context, ids = of(tmp_path, PAGER), list[str]()

    def killed(channel: Channel, message: Message) -> None:
        ids.append(message.id)
        raise Killed

    for at in (SIX, SEVEN):
        with pytest.raises(Killed):
            tell(context, utc(at), killed)
    end_all(context, FIRST, "2024-01-08T07:20")
    with pytest.raises(Killed):
        tell(context, utc("2024-01-08T08:00"), killed)
    assert (ids[0], len(set(ids))) == (ids[1], 2)


def test_a_new_channel_is_told_what_is_open_and_a_former_one_nothing_more(tmp_path: Path, receivers: Receivers) -> None:
    told(of(tmp_path, PAGER), SIX, receivers)
    told(of(tmp_path, {"slack": "alerts"}), SEVEN, receivers)
    assert receivers.take() == [("webhook pager", LATE), ("slack alerts", LATE)]


def test_each_partition_is_told_of_by_itself(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, PAGER)
    told(context, SIX, receivers)
    told(context, "2024-01-15T06:00", receivers)
    end_all(context, SECOND, "2024-01-15T07:00")
    told(context, "2024-01-15T07:05", receivers)
    subjects = [subject.removeprefix("made: ") for _, subject in receivers.take()]
    assert subjects == [
        f"predictions of {FIRST} are late",
        f"predictions of {SECOND} are late",
        f"over: predictions of {SECOND} are late",
        f"over: predictions of {FIRST} are late",
    ]


def test_without_alerts_it_is_looked_and_nothing_is_sent_or_written(tmp_path: Path, receivers: Receivers) -> None:
    report = told(of(tmp_path), SIX, receivers)
    assert (len(report.looked.missed), receivers.take()) == (1, [])
    assert not (tmp_path / "results").exists()


def test_nothing_is_written_while_nothing_changes(tmp_path: Path, receivers: Receivers) -> None:
    context = of(tmp_path, PAGER)
    told(context, SIX, receivers)
    file = Path(context.store.uri(context.store.results("deadlines")), FILE)
    before = file.stat().st_ino
    told(context, SEVEN, receivers)
    assert file.stat().st_ino == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"channels": {"webhook pager": [{}]}}', '{"channels": 3}'])
def test_a_file_that_somebody_broke_counts_as_none_and_is_told_of(
    tmp_path: Path, receivers: Receivers, text: str
) -> None:
    context = of(tmp_path, PAGER)
    told(context, SIX, receivers)
    Path(context.store.uri(context.store.results("deadlines")), FILE).write_text(text)
    assert FILE in str(told(context, SEVEN, receivers).told.unreadable)
    assert receivers.take() == [("webhook pager", LATE)] * 2
    assert told(context, "2024-01-08T07:05", receivers).told.unreadable is None


def test_channels_that_are_named_twice_are_one() -> None:
    twice = [Alert(smtp="mail", to=("a@b.org", "a@b.org")), Alert(smtp="mail", to=("a@b.org", "c@d.org"))]
    assert [str(channel) for channel in channels(twice)] == ["smtp mail a@b.org", "smtp mail c@d.org"]


@pytest.mark.slow
def test_on_an_object_store_it_is_the_same(
    tmp_path: Path, receivers: Receivers, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    on_disk = of(tmp_path, PAGER)
    context = Context(on_disk.workload, tmp_path, Store(object_store.root("deadlines"), "made"))
    for at in (SIX, SEVEN):
        told(context, at, receivers)
    context.store.files.put(f"{context.store.results('score')}/{FIRST}-a.json", b"{}")
    for at in ("2024-01-08T07:05", "2024-01-08T07:10"):
        told(context, at, receivers)
    assert receivers.take() == [("webhook pager", LATE), ("webhook pager", OVER)]
