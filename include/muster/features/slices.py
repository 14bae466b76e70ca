"""Which slices of `features` a partition has to build, from which days, and which are out of date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from muster.context import Context, PartitionContext
from muster.errors import MusterError, bounded
from muster.features.files import last_days
from muster.features.made_from import Sources, slice_days
from muster.storage.evolution import check_observations, check_zone
from muster.storage.provenance import Fact, file_digests, newest_facts, read_facts
from muster.storage.store import TableVersion
from muster.storage.tables import features_schema
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, slice_of

REWRITTEN = "rewritten since it was built"
"""Why a slice is out of date whose facts are all about other files: by OPTIMIZE, by hand, by a job that was killed."""


class NoObservations(MusterError):
    """Raised when a slice is to be built of which nothing was ingested."""

    def __init__(self, workload: str, partition: str) -> None:
        super().__init__(f"{workload}: observations hold no day of the slice from {partition}; run ingest first")


class OtherFeatures(MusterError):
    """Raised when the table has other columns than are declared: new slices would not fit the old ones."""

    def __init__(self, workload: Workload, location: str) -> None:
        super().__init__(
            f"{workload.name}: the table of features has other columns than are declared now; "
            f"move '{location}' away, then run features again, and train what is not judged yet"
        )


class OutOfDate(MusterError):
    """Raised when a stage would learn from features that are not what would be made now."""

    retryable = True  # features of a later partition may build them again meanwhile

    def __init__(self, context: PartitionContext, reasons: Mapping[date, str]) -> None:
        name = context.workload.name
        slices = bounded((f"{first} ({why})" for first, why in sorted(reasons.items())), 3)
        super().__init__(
            f"{name}: features are out of date, by the first days of their slices: {slices}; "
            f"run features for {context.partition} again: clear {name}.features"
        )


class OtherCarried(MusterError):
    """Raised when the features that candidates learnt from carry another column than they are to be judged by now."""

    def __init__(self, context: PartitionContext, key: str, then: str | None, now: str | None) -> None:
        name = context.workload.name
        super().__init__(
            f"{name}: the candidates learnt from features of '{key}: {then or 'none'}', and declared is "
            f"'{key}: {now or 'none'}' now; run features for {context.partition}, then train: clear {name}.features"
        )


@dataclass(frozen=True)
class Slices:
    """The slices to build, and the days that are read for them."""

    first_days: list[date]
    """The first day of each slice, in order: the values of `partition`."""
    replaced: list[str]
    """Every value of `partition` whose rows give way: also those of slices of another length that lie there."""
    days: DateRange
    observed: list[DateRange]
    """The days of each run of slices, and the lookback before them."""
    reasons: Mapping[date, str]
    """Why slices that the table has are built again, the partition's own left out unless it is out of date."""
    sources: Sources
    """What they are made from."""


def slices_to_build(context: PartitionContext, quiet: Callable[[], bool] = lambda: False) -> Slices:
    """Return the partition's own slice, and all that are missing or out of date of those that concern it.

    Those are the slices of its windows, and the later ones that look back on it, if they were built before.

    `quiet` is asked where the own slice has no observations: whether nothing happened in it.

    Raises:
        NoObservations: when the own slice has none, although something happened.
        OtherColumns, RequiredColumn: when the observations cannot be read as they are declared.
        OtherFeatures: when the table has other columns.
        OtherZone: when observations were read in another time zone.
    """
    workload, store, windows = context.workload, context.store, context.windows
    check_observations(workload, store.open("observations"))
    sources = Sources.now(context)
    if windows.partition not in sources.observed and not quiet():
        raise NoObservations(workload.name, context.partition)
    check_columns(context)
    built = _Built.now(context)
    looks_back_until = windows.score.stop + timedelta(days=workload.features.lookback)
    concerned = {day for day in sources.observed | built.firsts if windows.history.start <= day < looks_back_until}
    wanted = {day for day in concerned if day < windows.partition and day not in built.firsts}
    reasons = built.out_of_date(sources, concerned)
    first_days, replaced = built.with_overlapped(sources, wanted | reasons.keys() | {windows.partition})
    observed = _observed(workload, sorted(first_days))
    check_zone(workload, store, {day for span in observed for day in span.days()})
    return Slices(
        first_days=sorted(first_days),
        replaced=sorted({day.isoformat() for day in first_days | replaced}),
        days=DateRange(min(first_days), slice_days(workload, max(first_days)).stop),
        observed=observed,
        reasons=reasons,
        sources=sources,
    )


def check_columns(context: Context) -> None:
    """Check that the table of features, where there is one, has the columns that are declared now.

    Raises:
        OtherFeatures: when it has others.
    """
    table = context.store.open("features")
    declared = features_schema(context.workload).names
    if table is not None and {field.name for field in table.schema().fields} != set(declared):
        raise OtherFeatures(context.workload, context.store.table("features"))


def out_of_date(context: Context, days: DateRange) -> dict[date, str]:
    """Return the slices of `days` that are out of date, or were not built, and why."""
    sources, built = Sources.now(context), _Built.now(context)
    concerned = {day for day in sources.observed | built.firsts if _overlap(slice_days(context.workload, day), days)}
    missing = {day: "not built" for day in concerned - built.firsts}
    return {**missing, **built.out_of_date(sources, concerned)}


def contents(context: Context, days: DateRange, version: int | None = None) -> dict[str, str]:
    """Return what the slices of `days` hold at a Delta version, by their first day: other rows have another digest."""
    store = context.store
    files = file_digests(store, "features", version)
    facts = read_facts(store, "features", files)
    wanted = {name for name in files if _overlap(slice_days(context.workload, date.fromisoformat(name)), days)}
    return {name: facts[name].digest if name in facts else f"files {files[name]}" for name in sorted(wanted)}


def check_up_to_date(context: PartitionContext, days: DateRange) -> None:
    """Check that no slice of `days` is out of date.

    Raises:
        OutOfDate: with the slices, and why each is.
    """
    if reasons := out_of_date(context, days):
        raise OutOfDate(context, reasons)


def check_carried(context: PartitionContext, version: TableVersion | None) -> None:
    """Check that the rows to judge on, at a version of `features`, carry the columns that the gate needs now.

    Raises:
        OtherCarried: when they carry others, or none.
    """
    workload, store = context.workload, context.store
    declared = {"resample_by": ("gate.resample", workload.resample_by), "weight": ("weight", workload.weight)}
    files = {} if version is None else file_digests(store, "features", version)
    facts = read_facts(store, "features", files)
    for first in files:
        if not _overlap(slice_days(workload, date.fromisoformat(first)), context.windows.evaluate):
            continue
        for name, (key, now) in declared.items():
            then = facts[first].made_from.get(name) if first in facts else None
            if then != now and (now is not None or name == "weight"):  # days and rows are there whatever was drawn
                raise OtherCarried(context, key, then, now)


@dataclass(frozen=True)
class _Built:
    """The slices that the table of features has."""

    firsts: set[date]
    """The first days of those that are slices of the schedule, also of those that are known to have no row."""
    ranges: Mapping[date, DateRange]
    """By its first day, the days of each: up to the last that it has a row of, whichever schedule it was built by."""
    facts: Mapping[date, Fact]
    """What is known of their present files."""
    rewritten: set[date]
    """Those of which nothing but facts about files of before is known: these rows may be anybody's."""

    @classmethod
    def now(cls, context: Context) -> _Built:
        store = context.store
        files = file_digests(store, "features")
        facts = {date.fromisoformat(name): fact for name, fact in read_facts(store, "features", files).items()}
        before = {date.fromisoformat(name) for name in newest_facts(store, "features")}
        ranges = {first: DateRange(first, last + timedelta(days=1)) for first, last in last_days(context).items()}
        firsts = {day for day in ranges.keys() | facts.keys() if slice_of(context.workload, day) == day}
        return cls(firsts, ranges, facts, (before & ranges.keys()) - facts.keys())

    def out_of_date(self, sources: Sources, concerned: set[date]) -> dict[date, str]:
        reasons = {
            day: REWRITTEN if day in self.rewritten else sources.why_out_of_date(day, self.facts.get(day))
            for day in concerned & self.firsts
        }
        return {day: why for day, why in sorted(reasons.items()) if why is not None}

    def with_overlapped(self, sources: Sources, first_days: set[date]) -> tuple[set[date], set[date]]:
        """Return the slices to build and those that give way, so that no day is lost or there twice.

        A slice that was built by another schedule may reach beyond the days that take its place: then its other days
        are built too.
        """
        workload, first_days, overlapped = sources.context.workload, set(first_days), set[date]()
        while True:
            days = {day for first in first_days for day in slice_days(workload, first).days()}
            overlapped = {first for first, span in self.ranges.items() if not days.isdisjoint(span.days())}
            beyond = {slice_of(workload, day) for first in overlapped for day in self.ranges[first].days()}
            if (beyond & sources.observed) <= first_days:
                return first_days, overlapped
            first_days |= beyond & sources.observed


def _observed(workload: Workload, first_days: list[date]) -> list[DateRange]:
    """Return the days to read, ranges that touch put together."""
    ranges: list[DateRange] = []
    for first in first_days:
        days = slice_days(workload, first)
        start = days.start - timedelta(days=workload.features.lookback)
        if ranges and start <= ranges[-1].stop:
            ranges[-1] = DateRange(ranges[-1].start, days.stop)
        else:
            ranges.append(DateRange(start, days.stop))
    return ranges


def _overlap(one: DateRange, other: DateRange) -> bool:
    return one.start < other.stop and other.start < one.stop
