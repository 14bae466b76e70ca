"""The DAGs of every workload in the folder that MUSTER_WORKLOADS names: `<workload>.<stage>`.

A workload whose YAML does not hold is left out here; refused_workloads.py shows why as an import error of its own,
because an error in this file would hide all the others.
"""

from __future__ import annotations

from muster.settings import settings
from muster_airflow.dags import valid_workloads, workload_dags

for workload, path in valid_workloads(settings().workloads):
    for dag in workload_dags(workload, path):
        globals()[dag.dag_id] = dag
