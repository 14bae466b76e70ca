"""Whether a run's key is a partition of its workload: an event, or a human, may have named anything."""

from __future__ import annotations

from pathlib import Path

from muster.errors import WorkloadError
from muster.workload.load import load_workload
from muster.workload.windows import NotAPartition, partition_windows
from muster_airflow.exceptions import WrongPartition


def check_partition(workload: str, partition: str, dag_id: str) -> None:
    """Refuse a key that is no partition, before anything is done for it.

    Raises:
        WrongPartition: which fails a task at once, as no retry would mend it.
    """
    try:
        declared = load_workload(Path(workload))
    except WorkloadError:
        return  # the job says what is wrong with it
    try:
        if partition_windows(declared, partition).key != partition:  # `20240205` is a date, too, but another key
            raise NotAPartition(declared, partition, written=False)
    except NotAPartition as error:
        raise WrongPartition(str(error), dag_id) from error
