"""By when a partition's data and predictions are to be there, how old a champion may be, and who is told otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from muster.printable import cell
from muster.workload.section import MAX_DAYS, Section, parse_days

A_DAY = 24 * 60
_HOW = 'write it in quotes: "06:00", or "+1d 06:00" for the day after'


@dataclass(frozen=True, order=True)
class ByTime:
    """A time of day, on the day on which a partition is due or so many days later."""

    days: int
    minutes: int
    """After midnight, as the clocks of the workload's zone show them."""

    def __str__(self) -> str:
        later = f"+{self.days}d " if self.days else ""
        return f"{later}{self.minutes // 60:02}:{self.minutes % 60:02}"


def parse_by_time(written: object) -> object:
    """Return the time of `06:00` or `+1d 06:00`.

    Raises:
        ValueError: when it is no such text; YAML makes a number of `10:30` without quotes.
    """
    if written is None or isinstance(written, ByTime):
        return written
    text = written.strip() if isinstance(written, str) else ""
    match = re.fullmatch(r"(?:\+(\d{1,2})d\s+)?(\d{1,2}):(\d{2})", text, re.ASCII)
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise ValueError(f"'{cell(str(written))}' is no time of day; {_HOW}")
    return ByTime(int(match[1] or 0), int(match[2]) * 60 + int(match[3]))


WrittenTime = Annotated[
    ByTime | None,
    BeforeValidator(parse_by_time),
    PlainSerializer(lambda by: None if by is None else str(by)),  # what is dumped reads as it was
]


class Deadlines(Section):
    """What is to hold of the partition that is due; the DAG `deadlines` looks every five minutes whether it does."""

    data_by: WrittenTime = Field(
        None, description="By then, on the day on which a partition is due, its days are ingested."
    )
    predictions_by: WrittenTime = Field(
        None, description="By then, on the day on which a partition is due, it is scored."
    )
    champion_no_older_than: Annotated[int, BeforeValidator(parse_days)] | None = Field(
        None, ge=1, le=MAX_DAYS, description="`60d`: how far the champion's partition may lie before the due one."
    )

    @model_validator(mode="after")
    def _declares_any(self) -> Self:
        if self.data_by is None and self.predictions_by is None and self.champion_no_older_than is None:
            raise ValueError(f"declares nothing; write one of {', '.join(type(self).model_fields)}, or leave it out")
        return self


def _parse_connection(name: object) -> object:
    """Return the id of an Airflow connection.

    Raises:
        ValueError: when Airflow has no connection of such an id.
    """
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"[\w.\-]{1,200}", name, re.ASCII)):
        raise ValueError(f"'{cell(str(name))}' is no id of an Airflow connection: letters, digits, '_', '-' and '.'")
    return name


def _parse_address(address: object) -> object:
    """Return an address of mail: nothing of it may begin another header, or another address.

    Raises:
        ValueError: when it is none.
    """
    if not (isinstance(address, str) and re.fullmatch(r"[\w.+'\-]{1,64}@[\w.\-]{1,250}", address, re.ASCII)):
        raise ValueError(f"'{cell(str(address))}' is no address of mail; write it as oncall@example.com")
    return address


Kind = Literal["smtp", "slack", "webhook"]
KINDS: tuple[Kind, ...] = ("smtp", "slack", "webhook")
Connection = Annotated[str | None, BeforeValidator(_parse_connection)]


class Alert(Section):
    """One way to tell people: mail, Slack or a webhook, by the id of an Airflow connection."""

    smtp: Connection = Field(None, description="A connection of the type `smtp`: a mail to each address of `to`.")
    to: tuple[Annotated[str, BeforeValidator(_parse_address)], ...] = Field((), max_length=50)
    slack: Connection = Field(None, description="A connection of the type `slackwebhook`.")
    webhook: Connection = Field(None, description="A connection of the type `http`: a POST of JSON.")

    @property
    def kind(self) -> Kind:
        """Which way it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def connection(self) -> str:
        """The id of its connection."""
        return str(getattr(self, self.kind))

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Self:
        ways = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(ways) != 1:
            named = " and ".join(ways) or "none"
            raise ValueError(f"names {named} of {', '.join(KINDS)}: write exactly one, with the id of a connection")
        if ways == ["smtp"] and not self.to:
            raise ValueError("has no 'to': a mail needs addresses, to: [oncall@example.com]")
        if ways != ["smtp"] and self.to:
            raise ValueError(f"has 'to', which is of smtp: whom '{ways[0]}' reaches its connection says; leave it out")
        return self
