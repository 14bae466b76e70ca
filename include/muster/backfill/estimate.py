"""What a backfill would take, by what the last runs of each stage have taken: nothing is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from muster.backfill.request import Request
from muster.context import Context
from muster.errors import bounded
from muster.storage.results import PUT_OFF, stage_results

SAMPLE = 10
"""Results of a stage that its figures are the median of."""

ROWS = ("rows", "accepted")
"""What results call the rows that a stage was about."""


@dataclass(frozen=True)
class StageEstimate:
    """What one run of a stage takes; None where no result tells."""

    stage: str
    results: int
    """How many results the figures are of."""
    seconds: float | None
    rows: float | None
    groups: float | None
    mlflow_calls: float | None


def estimate(context: Context, request: Request, partitions: Sequence[str]) -> list[StageEstimate]:
    """Return what one run of each stage is expected to take: by those of the partitions themselves, if there are any,
    else by the last ones."""
    return [_estimate(context, stage, set(partitions)) for stage in request.stages]


def _estimate(context: Context, stage: str, partitions: set[str]) -> StageEstimate:
    newest = sorted(stage_results(context.store, stage), key=lambda result: result.at, reverse=True)
    of_range = [result for result in newest if result.partition in partitions]
    reports = []
    for result in of_range or newest:
        report = result.read()
        if PUT_OFF not in report and "skipped_because" not in report:
            reports.append(report)
        if len(reports) == SAMPLE:
            break
    rows = _median([{"rows": next((one[name] for name in ROWS if name in one), None)} for one in reports], "rows")
    seconds, groups, calls = (_median(reports, name) for name in ("seconds", "groups", "mlflow_calls"))
    return StageEstimate(stage, len(reports), seconds, rows, groups, calls)


def _median(reports: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [report[name] for report in reports if isinstance(report.get(name), int | float)]
    return float(median(values)) if values else None


def as_text(request: Request, partitions: Sequence[str], estimates: Sequence[StageEstimate]) -> str:
    """Return what would be done as a person reads it."""
    count = len(partitions)
    lines = [
        f"{request}: {count} partition{'s' * (count != 1)}, one at a time: {bounded(partitions)}",
        f"scored by the champion {'of each slice' if request.champion == 'as-of' else 'of today'}, "
        f"{'with' if request.promote else 'without'} promotion",
        f"{'stage':<10}{'runs':>6}{'seconds':>10}{'rows':>14}{'groups':>9}{'MLflow calls':>14}   by",
    ]
    for one in estimates:
        figures = ((one.seconds, count, 10), (one.rows, count, 14), (one.groups, 1, 9), (one.mlflow_calls, count, 14))
        cells = "".join(_cell(*figure) for figure in figures)
        by = f"{one.results} result{'s' * (one.results != 1)}" if one.results else "no result yet: not known"
        lines.append(f"{one.stage:<10}{count:>6}{cells}   {by}")
    return "\n".join([*lines, _total(estimates, count)])


def _cell(value: float | None, times: int, width: int) -> str:
    return f"{'?' if value is None else format(round(value * times), ','):>{width}}"


def _total(estimates: Sequence[StageEstimate], count: int) -> str:
    seconds = sum(one.seconds or 0.0 for one in estimates) * count
    calls = sum(one.mlflow_calls or 0.0 for one in estimates) * count
    unknown = [one.stage for one in estimates if one.seconds is None]
    without = f", without {bounded(unknown)}" if unknown else ""
    return f"in all about {seconds / 60:.1f} min of jobs and {calls:,.0f} MLflow calls{without}; nothing was started"
