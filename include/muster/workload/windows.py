"""The date ranges of a partition: half-open, in whole days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from muster.errors import WrongArgument
from muster.workload.spec import Workload


class NotAPartition(WrongArgument):
    """Raised when a date does not start a slice of the workload's schedule; or is not `written` as one."""

    def __init__(self, workload: Workload, text: str, *, written: bool = True) -> None:
        schedule = workload.schedule
        until = f" up to {schedule.end}" if schedule.end else ""
        how = "" if written else f"a partition is written as {schedule.start}, and "
        super().__init__(
            f"'{text}' is no partition of {workload.name}: "
            f"{how}partitions are every {schedule.every} days from {schedule.start}{until}"
        )


@dataclass(frozen=True)
class DateRange:
    """The days from `start` up to, not including, `stop`."""

    start: date
    stop: date

    def days(self) -> list[date]:
        """Return every day of the range, in order."""
        return [self.start + timedelta(days=n) for n in range((self.stop - self.start).days)]


@dataclass(frozen=True)
class PartitionWindows:
    """What each stage of one partition may see."""

    partition: date
    train: DateRange
    evaluate: DateRange
    score: DateRange
    history: DateRange
    """Every slice that train and evaluate touch, whole slices, up to the partition."""
    observed: DateRange
    """Every day that the features of `history` and `score` are computed from, lookback included."""

    @property
    def run(self) -> DateRange:
        """The days that training and evaluation look at: a group with a row in them is part of the run."""
        return DateRange(self.train.start, self.partition)

    @property
    def key(self) -> str:
        """The Airflow partition key: `2013-05-06`."""
        return self.partition.isoformat()


def slice_of(workload: Workload, day: date) -> date:
    """Return the first day of the slice that holds `day`."""
    schedule = workload.schedule
    return day - timedelta(days=(day - schedule.start).days % schedule.every)


def partition_windows(workload: Workload, text: str | date) -> PartitionWindows:
    """Return the date ranges of partition `text`.

    Raises:
        NotAPartition: when it is no date, starts no slice, or lies outside the schedule.
    """
    try:
        partition = text if isinstance(text, date) else date.fromisoformat(text)
    except ValueError:
        raise NotAPartition(workload, str(text), written=False) from None
    schedule, windows = workload.schedule, workload.windows
    late = schedule.end is not None and partition > schedule.end
    if partition < schedule.start or late or slice_of(workload, partition) != partition:
        raise NotAPartition(workload, str(text))
    judged_from = partition - timedelta(days=windows.evaluate)
    trained_from = judged_from - timedelta(days=windows.train)
    scored_to = partition + timedelta(days=schedule.every)
    history_from = slice_of(workload, trained_from)
    return PartitionWindows(
        partition=partition,
        train=DateRange(trained_from, judged_from),
        evaluate=DateRange(judged_from, partition),
        score=DateRange(partition, scored_to),
        history=DateRange(history_from, partition),
        observed=DateRange(history_from - timedelta(days=workload.features.lookback), scored_to),
    )
