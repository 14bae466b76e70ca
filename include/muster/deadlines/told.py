"""Who was told what: one small file a workload in the store, so that nobody is told twice, whatever is started again.

At least once: what is to be told is written down before anything is sent, that it was sent afterwards. Who is killed in
between sends it once more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from socket import gaierror
from typing import Any, NamedTuple

from muster.context import Context
from muster.deadlines.message import Message, late, over
from muster.deadlines.missed import Key, Looked, look
from muster.errors import bounded
from muster.settings import Settings
from muster.storage.store import Store
from muster.workload.deadlines import Alert, Kind
from muster.workload.load import load_sound_part

FILE = "told.json"


class Channel(NamedTuple):
    """One way to one receiver: an address of mail, or whom a connection reaches."""

    kind: Kind
    connection: str
    to: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self))


def channels(alerts: Sequence[Alert]) -> list[Channel]:
    """Return all ways, each address by itself: one that is refused holds up no other, and doubles none."""
    named = (Channel(alert.kind, alert.connection, to) for alert in alerts for to in (alert.to or ("",)))
    return list(dict.fromkeys(named))


@dataclass
class Entry:
    """A missed deadline as a channel knows it."""

    since: datetime
    told: bool


@dataclass
class Told:
    """What every channel was told, and is to be told."""

    store: Store
    entries: dict[str, dict[Key, Entry]] = field(default_factory=dict)
    """Channel -> deadline -> what it knows of it."""
    unreadable: str | None = None
    """Why the file counts as none: some are told once more, rather than nobody at all."""

    @classmethod
    def read(cls, store: Store) -> Told:
        """Return what stands in the store."""
        try:
            known = json.loads(store.files.read(_path(store)))
            return cls(store, {channel: dict(map(_entry, listed)) for channel, listed in known["channels"].items()})
        except FileNotFoundError:
            return cls(store)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return cls(store, unreadable=f"{store.uri(_path(store))} cannot be read: {type(error).__name__}: {error}")

    def write(self) -> None:
        """Write it down, whole or not at all."""
        listed = {
            channel: [{**key._asdict(), "since": one.since.isoformat(), "told": one.told} for key, one in known.items()]
            for channel, known in self.entries.items()
        }
        self.store.files.put(_path(self.store), json.dumps({"channels": listed}, indent=1).encode())

    @property
    def open(self) -> set[Key]:
        """The deadlines that any channel knows as missed."""
        return {key for known in self.entries.values() for key in known}

    def not_told(self) -> Iterator[str]:
        """Yield who was to be told of what, and was not reached yet."""
        for channel, known in self.entries.items():
            if keys := [str(key) for key, entry in known.items() if not entry.told]:
                yield f"{channel} could not be told yet of {bounded(keys)}: the log of the DAG deadlines says why"

    def expect(self, now: Sequence[Channel], looked: Looked) -> None:
        """Write down what each channel is to be told; one that is declared no more is forgotten."""
        before = {channel: dict(known) for channel, known in self.entries.items()}
        self.entries = {str(channel): self.entries.get(str(channel), {}) for channel in now}
        for known in self.entries.values():
            for missed in looked.missed:
                known.setdefault(missed.key, Entry(missed.since, told=False))
        if self.entries != before:
            self.write()


def _path(store: Store) -> str:
    return f"{store.results('deadlines')}/{FILE}"


def _entry(listed: Mapping[str, Any]) -> tuple[Key, Entry]:
    key = Key(listed["what"], listed["partition"])
    return key, Entry(datetime.fromisoformat(listed["since"]), bool(listed["told"]))


class NotReached(NamedTuple):
    """A channel that was not reached."""

    channel: Channel
    error: Exception


@dataclass(frozen=True)
class Report:
    """What a look at a workload's deadlines came to."""

    looked: Looked
    sent: list[tuple[Channel, Message]]
    not_reached: list[NotReached]
    told: Told


def watched(file: Path, settings: Settings) -> tuple[Context, str | None]:
    """Return the context of a workload, and why its YAML is refused: of such a one no more than its dates may be there.

    Raises:
        WorkloadError: when not even these can be read.
    """
    workload, refused = load_sound_part(file)
    return Context(workload, file.parent, Store(settings.store_root, file.stem)), refused


def tell(
    context: Context,
    now: datetime,
    send: Callable[[Channel, Message], None],
    airflow: str = "",
    refused: str | None = None,
) -> Report:
    """Look at a workload's deadlines and tell every channel what it does not know yet.

    A channel that is not reached is left until the next call, and holds up no other. `refused`: why the YAML is.
    """
    told = Told.read(context.store)
    looked = look(context, now, told.open, refused)
    report = Report(looked, [], [], told)
    reached = channels(context.workload.alerts)
    if refused is not None and not reached:  # it may be for its alerts: who was told stays told
        return report
    told.expect(reached, looked)
    silent: dict[tuple[Kind, str], Exception] = {}
    for channel in reached:
        known, server = told.entries[str(channel)], (channel.kind, channel.connection)
        if server in silent:  # each more address would wait as long as the first
            report.not_reached.append(NotReached(channel, silent[server]))
            continue
        try:
            for key, message in _due(context, looked, known, airflow):
                send(channel, message)
                report.sent.append((channel, message))
                if message.state == "over":
                    del known[key]
                else:
                    known[key].told = True
                told.write()
        except Exception as error:
            report.not_reached.append(NotReached(channel, error))
            if isinstance(error, (ConnectionError, TimeoutError, gaierror)):
                silent[server] = error
    return report


def _due(context: Context, looked: Looked, known: Mapping[Key, Entry], airflow: str) -> Iterator[tuple[Key, Message]]:
    """Yield what a channel does not know yet: first what is late, then what is over."""
    for missed in looked.missed:
        if not known[missed.key].told:
            yield missed.key, late(context.workload, missed, airflow)
    for one in looked.over:
        if one.key in known:
            yield one.key, over(context.workload, one.key, known[one.key].since, one.how)
