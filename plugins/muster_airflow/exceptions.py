"""What can go wrong between Airflow and a job."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from muster.errors import bounded


class NoPartition(AirflowFailException):
    """Raised when a run has no partition key, so nobody can say which dates it is about."""

    def __init__(self, dag_id: str, such_as: date) -> None:
        super().__init__(
            f"this run of '{dag_id}' has no partition key; trigger it with one, the first day of a slice: {such_as}"
        )


class WrongPartition(AirflowFailException):
    """Raised when a run's partition key is none of the workload's partitions."""

    def __init__(self, problem: str, dag_id: str) -> None:
        super().__init__(
            f"{problem}; nothing was done for that key. Trigger '{dag_id}' with the first day of a slice, then delete "
            "this run"
        )


class ConnectionRefused(AirflowFailException):
    """Raised when an Airflow connection cannot tell where Spark is."""

    def __init__(self, conn_id: str, problem: str, rule: str) -> None:
        super().__init__(f"Airflow connection '{conn_id}' {problem}; {rule}")


class NoLogStore(AirflowFailException):
    """Raised when the store is on S3 and Delta would commit to it without noticing another writer."""

    def __init__(self, jar: Path) -> None:
        super().__init__(
            f"there is no '{jar}', without which Delta on S3 loses commits: run ./muster up once with this home and "
            "store, or copy the jar from where that was done (docs/stores.md)"
        )


class JobFailed(AirflowException):
    """Raised when a job fails: its own error is the message."""


class InputRefused(JobFailed, AirflowFailException):
    """Raised when a job says that only another input can help: the task fails at once, its retries are kept."""


class NothingToDo(AirflowSkipException):
    """Raised when a job says that there is nothing to do for its partition, and why."""


class NoAlarm(AirflowSkipException):
    """Raised when there is nothing to announce: no alarm, or none that was not announced before."""


class DataLate(AirflowFailException):
    """Raised when a partition's data were not fresh by the deadline, and late data are to fail it."""

    def __init__(self, partition: str, deadline: datetime, why: str) -> None:
        until = deadline.isoformat(timespec="minutes")
        super().__init__(
            f"the data of partition {partition} were not fresh by {until}: {why}; have them delivered, then clear this "
            "task: it waits anew"
        )


class DataSkipped(AirflowSkipException):
    """Raised when a partition's data were not fresh by the deadline, and the partition is left out then."""

    def __init__(self, partition: str, deadline: datetime, why: str) -> None:
        until = deadline.isoformat(timespec="minutes")
        super().__init__(
            f"partition {partition} is skipped, its data were not fresh by {until}: {why}; to bring it later, clear "
            "this task"
        )


class SourceRefused(AirflowFailException):
    """Raised when a source cannot be asked what has arrived, and only a human can mend it: no wait would help."""


class MlflowClosed(Exception):
    """Raised when MLflow takes no calls for a while; the task waits, it does not fail."""

    def __init__(self, until: datetime, why: str) -> None:
        self.until, self.why = until, why
        super().__init__(f"MLflow takes no calls before {until.isoformat(timespec='seconds')}: {why}")


class NotTold(AirflowException):
    """Raised when an alert could not be sent to everyone; who was not reached is told at the next look."""

    def __init__(self, whom: list[str]) -> None:
        super().__init__(
            f"could not tell {bounded(whom)}; the others were told, and these are tried again by the next run"
        )


class WaitedTooLong(AirflowFailException):
    """Raised when MLflow took no calls for as long as a task may wait."""

    def __init__(self, since: datetime, until: datetime, why: str, max_wait: timedelta) -> None:
        super().__init__(
            f"MLflow took no calls since {since.isoformat(timespec='seconds')} and will take none before "
            f"{until.isoformat(timespec='seconds')}: {why}; a task waits {max_wait} at most. Raise the figures in the "
            "MLflow connection if the server allows more, or let fewer workloads run at once; then clear this task"
        )


class StillAtWork(AirflowException):
    """Raised when an earlier attempt's processes outlive even SIGKILL."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(f"an earlier attempt's processes would not end: {bounded(pids)}; end them, then retry")
