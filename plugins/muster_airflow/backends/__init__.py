"""Where a job runs. A new backend (Databricks, say) is a file of its own and one more entry of `BACKENDS`."""

from __future__ import annotations

from muster_airflow.backends.connect import ConnectBackend
from muster_airflow.backends.plain import PlainBackend
from muster_airflow.backends.protocol import Backend
from muster_airflow.backends.submit import SubmitBackend

BACKENDS: dict[str, Backend] = {"connect": ConnectBackend(), "submit": SubmitBackend()}
"""Name, as in `MUSTER_BACKEND` -> where jobs that need Spark run."""

PLAIN: Backend = PlainBackend()
"""Where jobs run that need no Spark."""
