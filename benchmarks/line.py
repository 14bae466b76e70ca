"""The line: wall time of the second week, from its files to its scores, in the Airflow that runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from benchmarks.figures import Figure, NeedsStack
from muster.airflow_api import Airflow, AirflowUnreachable
from muster.airflow_runs import DagRun
from muster.settings import Settings
from muster.workload.load import load_workload, workload_files
from muster.workload.stages import STAGE_NAMES
from muster_local.passwords import airflow_login
from muster_local.service import get

Span = tuple[datetime, datetime]
GOAL = 30.0


def run(settings: Settings, quick: bool = False) -> list[Figure]:
    """Read the second declared partition's runs from Airflow, and Spark's jobs from its own interface."""
    workload, partition = _second_week(settings)
    stages = _line(settings, workload, partition)
    wall = (stages[0].queued_at, stages[-1].ended_at)
    line = (_sure(wall[0]), _sure(wall[1]))
    running = [(_sure(stage.began_at), _sure(stage.ended_at)) for stage in stages]
    each = ", ".join(f"{name} {seconds(span):.1f}" for name, span in zip(STAGE_NAMES, running, strict=True))
    figures = [
        Figure("second week's line, wall", seconds(line), "s", at_most=GOAL, detail=f"{workload} {partition}: {each}"),
        Figure("of it, no stage ran", idle_share(running, line), "share", detail="Airflow passing from stage to stage"),
    ]
    jobs = [span for span in _spark_jobs(settings) if span[1] > line[0] and span[0] < line[1]]
    if jobs:
        detail = f"{len(jobs)} Spark jobs; the rest is Airflow, the start of Python, MLflow, Delta's driver side"
        figures.append(Figure("of it, no Spark job ran", idle_share(jobs, line), "share", detail=detail))
    return figures


def seconds(span: Span) -> float:
    """Return the length of a span of time."""
    return (span[1] - span[0]).total_seconds()


def idle_share(busy: Sequence[Span], within: Span) -> float:
    """Return the share of `within` that no span of `busy` covers."""
    covered, reached = 0.0, within[0]
    for start, stop in sorted(busy):
        start, stop = max(start, reached), min(stop, within[1])
        if stop > start:
            covered += seconds((start, stop))
            reached = stop
    return 1 - covered / seconds(within)


def _second_week(settings: Settings) -> tuple[str, str]:
    for file in workload_files(settings.workloads):
        demo = load_workload(file).schedule.demo
        if len(demo) > 1:
            return file.stem, demo[1].isoformat()
    raise NeedsStack("no workload declares two partitions in schedule.demo")


def _line(settings: Settings, workload: str, partition: str) -> list[DagRun]:
    """Return the newest run of each stage, in order."""
    try:
        runs = list(Airflow(settings.airflow_url, airflow_login(settings)).runs(partition))
    except AirflowUnreachable as error:
        raise NeedsStack(str(error)) from error
    newest = {stage: next((run for run in runs if run.dag == f"{workload}.{stage}"), None) for stage in STAGE_NAMES}
    stages = [run for run in newest.values() if run is not None and run.state == "success"]
    if len(stages) < len(STAGE_NAMES):
        raise NeedsStack(f"the second week ({workload} {partition}) has not passed all stages")
    if any(_sure(before.began_at) > _sure(after.began_at) for before, after in pairwise(stages)):
        raise NeedsStack(f"a stage of {workload} {partition} was run again by itself: its times are no line's")
    return stages


def _spark_jobs(settings: Settings) -> list[Span]:
    """Return when each job of the Spark server ran, as far as its interface still knows."""
    api = f"http://{settings.spark_address}:{settings.spark_ui_port}/api/v1/applications"
    applications = get(api)
    spans = []
    for application in applications.json() if applications else []:
        jobs = get(f"{api}/{application['id']}/jobs", timeout=30)
        for job in jobs.json() if jobs else []:
            if "completionTime" in job:
                spans.append((_spark_time(job["submissionTime"]), _spark_time(job["completionTime"])))
    return spans


def _spark_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("GMT", "+00:00"))


def _sure(moment: datetime | None) -> datetime:
    assert moment is not None, "a successful run has its times"
    return moment
