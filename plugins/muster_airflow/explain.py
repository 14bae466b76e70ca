"""The pages that Airflow shows beside a DAG and a task, made from the workload."""

from __future__ import annotations

from muster.workload.arrivals import Arrivals
from muster.workload.freshness import Freshness
from muster.workload.spec import Workload
from muster.workload.stages import Stage, started_by


def dag_doc(workload: Workload, stage: Stage) -> str:
    """Return the page of one stage's DAG."""
    schedule, windows = workload.schedule, workload.windows
    until = f" up to {schedule.end}" if schedule.end else ""
    slices = f"{schedule.start} and every {schedule.every} days on{until}"
    assets = started_by(workload, stage)
    if stage.name == "ingest" and workload.arrivals:
        due = f"when `{workload.name}.watch` finds that its data have arrived or were corrected"
    elif assets:
        named = " or ".join(f"`{asset}`" for asset in assets)
        due = f"when {named} of `{workload.name}` is updated, with the same partition key"
    elif schedule.cron:
        due = f"by `{schedule.cron}` (UTC), for the slice that has just ended"
    else:
        due = "by hand, or by an API call, with a partition key"
    return f"""### {workload.name}: {stage.name}

{workload.description}

**{stage.does}** One model for each `{", ".join(workload.keys)}`.

| | |
|---|---|
| Runs | {due} |
| Partition key | the first day of a slice of {schedule.every} days: {slices} |
| Trains on | {windows.train} days that end {windows.evaluate} days before the partition |
| Judges on | the {windows.evaluate} days before the partition |
| Scores | the {schedule.every} days of the partition |
| Owner | {workload.owner} |

By hand: *Trigger*, with a partition key such as `{schedule.start}`. Running a partition again replaces its rows.
"""


def task_doc(workload: Workload, stage: Stage) -> str:
    """Return the page of one stage's task."""
    return f"""{stage.does}

- **Reads** {stage.reads}.
- **Writes** `{stage.writes}` of `{workload.name}`.
- **When it fails**: {stage.on_failure}
- The log ends with what was counted; the same numbers are the task's XCom and stand on the asset's event.
"""


DECIDE_DOC = """Decides whether this partition is trained: by `retrain` of the workload.

- **Reads** which partitions were trained before, and which event or human started this run.
- **Writes** the decision: its log, the XCom `why`, and the event of the task that follows.
- **When it fails**: The message says why. Nothing was trained. Clear this task.
"""
KEEP_DOC = """Says that this partition is not trained; where scoring waits for training, it is scored now.

- **Reads** why, from `decide`.
- **Writes** nothing but its event. To train the partition all the same, trigger this DAG with its partition key.
- **When it fails**: Clear this task.
"""
LATE = {"fail": "fails", "go_on": "lets `ingest` take what is there", "skip": "skips the partition"}


def freshness_doc(workload: Workload, limits: Freshness) -> str:
    """Return the page of the task that waits for a partition's data."""
    return f"""Waits for the data of `{workload.name}`, {limits.wait_hours:g} hours from when the partition is due.

- **Reads** which days of the slice have come; then keys and times, to count rows and groups.
- **Writes** nothing. While it waits, *Storage* has what is there, what is missing and since when (`waiting_for_data`);
  afterwards its XCom and the end of its log.
- **Late** data: it {LATE[limits.late]}. Deferred it holds no slot.
- **When it fails**: The message says what is missing. Have it delivered, then clear this task: it waits anew.
"""


def announce_doc(workload: Workload, kind: str) -> str:
    """Return the page of a task that announces alarms."""
    return f"""Announces the groups that `monitor` found {kind}; skipped where there are none, or none that are new.

- **Reads** what `monitor` told, and the events of `{workload.name}.{kind}` of the last weeks.
- **Writes** an event of the asset `{workload.name}.{kind}` with the next partition as its key: how many groups, which,
  why. It moves nothing.
- **When it fails**: The message says why. Clear the task: what was announced is not announced twice.
"""


def approve_doc(workload: Workload) -> str:
    """Return the page of the task that asks a human."""
    gate = workload.gate
    return f"""Asks a human when `promote` would change more than {gate.max_changed:.0%} of the champion's groups.

- **Reads** `decisions` and the champion pack of `{workload.name}`.
- **Writes** nothing. *Required Actions* has the question; no answer within {gate.approval_hours:g} hours is *Reject*.
- **Rejected**: `promote` is skipped, the champion stays, nothing is scored. Clear this task to be asked again.
- **When it fails**: The message says why the verdicts cannot be read. Nothing was promoted. Clear the task.
"""


def watch_doc(workload: Workload, arrivals: Arrivals) -> str:
    """Return the page of the DAG that looks what has arrived."""
    return f"""### {workload.name}: what has arrived

Every {arrivals.look_seconds} s Airflow's triggerer asks the source what is new, and wakes this DAG when there is
anything; it wakes every hour too. It posts an event on `{workload.name}.arrived` for each partition that is to be
ingested, with the partition as its key: once all its days have come, again when one of them is another delivery now
(its cause is `correction` then), and where `schedule.cron` is declared when it is due without them. By hand: *Trigger*;
it does no harm.

**While it is paused** nothing that arrives is ingested; what has come meanwhile it finds when you unpause it.
"""


def watch_task_doc(workload: Workload) -> str:
    """Return the page of the task that announces what has arrived."""
    return f"""Announces what has arrived or was corrected; skipped, with the reason, where there is nothing.

- **Reads** which days the source has, no row of them; `provenance` and `observations` of `{workload.name}`.
- **Writes** nothing but its events. The log names each partition, and what has to wait.
- **When it fails**: The source cannot be asked; the message says why. Nothing is lost: the next look finds it.
"""


def corrected_doc(workload: Workload) -> str:
    """Return the page of the task that tells what a correction has changed."""
    return f"""Tells that models have learnt from days that were corrected; skipped where nothing was, or none has.

- **Reads** `observations` of the corrected days.
- **Writes** nothing but an event on `{workload.name}.corrected`, whose key is the newest partition that learns from
  those days, or is judged on them.
- **When it fails**: The features are built all the same. Clear the task.
"""
