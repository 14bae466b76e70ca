"""The file in which all processes of a host keep one server's budget: who called when, and the pace of each class.

pyrate-limiter's SQLite bucket holds the calls. Its `Limiter` is not used: after a wait it writes down the time it meant
to wake up at, not the time it did, so a busy machine exceeds the rate; and it knows nothing of when a call arrived.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from filelock import FileLock
from pyrate_limiter import RateItem, SQLiteBucket
from pyrate_limiter.buckets.sqlite_bucket import Queries

from muster.mlflow.budget.pace import SECOND_MS, Pace, rate
from muster.settings.limits import CLASSES, CallClass

IN_FLIGHT = 10 * SECOND_MS
"""Milliseconds for which a call counts that has no answer yet: longer ones have long arrived, or their process died."""
_POLL_SECONDS = 0.002
"""Seconds between two attempts to get the lock: it is held for about a millisecond."""
_PACES = """CREATE TABLE IF NOT EXISTS pace (
    call_class TEXT PRIMARY KEY, factor REAL, cut_at REAL, strikes INTEGER, closed_until REAL, why TEXT)"""
"""The fields of `Pace`, by their position: files of earlier versions are read on."""


class CallBucket(SQLiteBucket):
    """The calls of one class. A call counts from when it is permitted until a second after its answer.

    When it arrived at the server between the two nobody here knows; so no second, wherever it begins on the server's
    clock, sees more calls than the limit, however long each was on its way.
    """

    def set_time(self, name: str, at: int) -> None:
        """Let a call count as one sent at `at`, in milliseconds."""
        self.conn.execute(f"UPDATE '{self.table}' SET item_timestamp = ? WHERE name = ?", (at, name))  # noqa: S608
        self.conn.commit()

    def wait_ms(self, call: RateItem) -> int:
        """Return how long a call above the rate waits for the oldest call that counts, in milliseconds."""
        wait = self.waiting(call)
        assert isinstance(wait, int), "SQLite's bucket answers at once"  # noqa: S101 - for the type
        return wait

    def forget_after(self, at: int) -> None:
        """Remove calls from the future: the machine's clock began anew."""
        self.conn.execute(f"DELETE FROM '{self.table}' WHERE item_timestamp > ?", (at,))  # noqa: S608
        self.conn.commit()


@dataclass(frozen=True)
class Acquisition:
    """Whether a call was permitted."""

    wait: float
    """Seconds until it may be; 0 where it is."""
    pace: Pace


class CallLog:
    """One server's file, opened once a process; every method holds its lock, which all processes and threads share."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock", poll_interval=_POLL_SECONDS)
        self._cleaned_at: dict[str, int] = {}
        with self._lock:
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint=4000")  # it waits for the disk while it holds the lock
            self._db.execute(_PACES)
            self._buckets = {name: self._bucket(name) for name in CLASSES}
            self._db.commit()

    def _bucket(self, name: CallClass) -> CallBucket:
        self._db.execute(Queries.CREATE_BUCKET_TABLE.format(table=name))
        self._db.execute(Queries.CREATE_INDEX_ON_TIMESTAMP.format(index_name=f"{name}_times", table_name=name))
        bucket = CallBucket([rate(1)], self._db, name, self._lock)
        bucket.forget_after(_now() + IN_FLIGHT)
        return bucket

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except BaseException:
                self._db.rollback()
                raise

    def acquire(self, call_class: CallClass, name: str, calls_a_second: float, recovery: float) -> Acquisition:
        """Permit a call where the class is open and below its rate, else return how long to wait; `name` is unique."""
        with self._locked():
            pace = self._pace(call_class)
            wall = time.time()
            if pace.is_closed(wall):
                return Acquisition(pace.closed_until - wall, pace)
            bucket, now = self._buckets[call_class], _now()
            bucket.rates = [rate(calls_a_second * pace.share(wall, recovery))]
            self._remove_expired(bucket, now)
            call = RateItem(name, now)
            if not bucket.put(call):
                return Acquisition(max(bucket.wait_ms(call), 1) / SECOND_MS, pace)
            bucket.set_time(name, now + IN_FLIGHT)
            return Acquisition(0.0, pace)

    def _remove_expired(self, bucket: CallBucket, now: int) -> None:
        """Remove calls that count no more, once a second: the table stays as small as the budget."""
        if now - self._cleaned_at.get(bucket.table, 0) > SECOND_MS:
            self._cleaned_at[bucket.table] = now
            bucket.leak(now)

    def completed(self, call_class: CallClass, name: str) -> None:
        """Note that a call has arrived, now at the latest."""
        now = _now()  # before waiting for the lock
        with self._locked():
            self._buckets[call_class].set_time(name, now)

    def pace(self, call_class: CallClass) -> Pace:
        """Return the pace of a class."""
        with self._locked():
            return self._pace(call_class)

    @contextmanager
    def change_pace(self, call_class: CallClass) -> Iterator[list[Pace]]:
        """Change the pace of a class under the lock: `with store.change_pace(name) as pace: pace[0] = ...`."""
        with self._locked():
            pace = [self._pace(call_class)]
            yield pace
            row = (call_class, *astuple(pace[0]))
            self._db.execute("INSERT OR REPLACE INTO pace VALUES (?, ?, ?, ?, ?, ?)", row)
            self._db.commit()

    def _pace(self, call_class: CallClass) -> Pace:
        columns = "factor, cut_at, strikes, closed_until, why"
        row = self._db.execute(f"SELECT {columns} FROM pace WHERE call_class = ?", (call_class,)).fetchone()  # noqa: S608
        return Pace(*row) if row else Pace()


def _now() -> int:
    """Return milliseconds on the clock that all processes of a machine share and nobody sets."""
    return time.monotonic_ns() // 1_000_000
