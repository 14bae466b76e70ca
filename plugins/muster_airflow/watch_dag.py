"""The DAG `<workload>.watch`, where `arrivals` is declared: woken by the source or the clock, it starts `ingest`."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable

from muster.workload.arrivals import Arrivals
from muster.workload.spec import Workload
from muster_airflow.assets import AGAIN, ARRIVED, SOURCE, asset
from muster_airflow.explain import watch_doc, watch_task_doc
from muster_airflow.operators.watch import WatchOperator
from muster_airflow.triggers.news import NewsTrigger


def watch_dag(workload: Workload, path: Path, arrivals: Arrivals, default_args: dict[str, Any]) -> DAG:
    """Return the DAG. It wakes every hour too, each workload at a minute of its own, for what an outage has hidden."""
    trigger = NewsTrigger(str(path), float(arrivals.look_seconds), AGAIN.total_seconds())
    woken_by = asset(workload, SOURCE, watchers=[AssetWatcher(name=f"{workload.name}.{SOURCE}", trigger=trigger)])
    hourly = CronTriggerTimetable(f"{zlib.crc32(workload.name.encode()) % 60} * * * *", timezone="UTC")
    dag = DAG(
        dag_id=f"{workload.name}.watch",
        description="Looks what has arrived or was corrected, and starts `ingest` of its partitions.",
        doc_md=watch_doc(workload, arrivals),
        schedule=AssetOrTimeSchedule(timetable=hourly, assets=woken_by),
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=sorted({"muster", workload.name, "watch", *workload.tags}),
        default_args=default_args,
    )
    WatchOperator(
        dag=dag,
        task_id="watch",
        workload=str(path),
        arrived=asset(workload, ARRIVED),
        pause=float(min(arrivals.look_seconds, 60)),
        doc_md=watch_task_doc(workload),
    )
    return dag
