"""When a database's days begin, in the form that its times have, and which moments these are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from muster.workload.statement import END, START
from muster.workload.zone import EPOCH, day_range, moment_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_OF_MOMENTS = "of_moments"
"""Under this name a connection knows whether the statement's times are moments."""
_TIMESTAMPTZ = 1184
"""PostgreSQL's number of the type `timestamp with time zone`."""


@dataclass(frozen=True)
class Times:
    """Times of a database, which without a zone of their own are what the clocks of `zone` show, else UTC."""

    zone: str | None

    def note(self, connection: Connection, kind: object) -> None:
        """Remember by the driver's type of the time column what its bounds have to be."""
        connection.info[_OF_MOMENTS] = self.zone is not None and kind == _TIMESTAMPTZ

    def bounds(self, connection: Connection, first: date, after: date) -> Mapping[str, Any]:
        """Return when a day begins and when another does: as moments, or as the clocks show it."""
        return {name: self._begins(connection, day) for name, day in ((START, first), (END, after))}

    def _begins(self, connection: Connection, day: date) -> object:
        if connection.dialect.name == "sqlite":  # whose times are texts, which dates compare with best
            return str(day)
        if connection.info.get(_OF_MOMENTS):  # of a midnight that comes twice, PostgreSQL takes the second
            return EPOCH + timedelta(microseconds=day_range(self.zone, day, day)[0])
        return datetime(day.year, day.month, day.day)

    def in_utc(self, time: datetime) -> datetime | None:
        """Return a driver's time as a moment in UTC; None where it is what the zone's clocks skip."""
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        shown = time.replace(tzinfo=UTC)
        if self.zone is None:
            return shown
        moment = moment_of(self.zone, (shown - EPOCH) // timedelta(microseconds=1))
        return None if moment is None else EPOCH + timedelta(microseconds=moment)

    def shown(self, value: object) -> str:
        """Return a value of the time column, or of another one that tells of changes, as a delivery is told by."""
        moment = self.in_utc(value) if isinstance(value, datetime) else None
        return str(value) if moment is None else moment.isoformat()
