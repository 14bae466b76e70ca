"""What a task tells in the note on its run, beside its own page: a human's note stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muster.errors import MusterError, reason_of
from muster_airflow.exceptions import ConnectionRefused

if TYPE_CHECKING:
    from logging import Logger

    from airflow.sdk import Context

    from muster.airflow_api import Airflow

OURS = "muster: "
"""How a note begins that was not written by a human."""


class RunNote:
    """The note on a task's run, written through Airflow's own REST API: where no connection to it is, there is none."""

    def __init__(self, context: Context, log: Logger) -> None:
        run = context["dag_run"]
        self._where = (str(context["ti"].dag_id), str(run.run_id))
        self._log = log
        self._client: Airflow | None = None
        self._written = ""
        self._given_up = False

    def write(self, text: str) -> None:
        """Write what is so now, in the place of what was before; nothing twice, nothing over a human's words."""
        self._set(f"{OURS}{text}")

    def clear(self) -> None:
        """Take away what a task has written there, this one or an earlier process of it."""
        self._written = OURS
        self._set("")

    def _set(self, note: str) -> None:
        if self._given_up or note == self._written:
            return
        try:
            client = self._client = self._client or _client()
            if (there := client.note(*self._where)) and not there.startswith(OURS):
                self._given_up = True
                return
            client.set_note(*self._where, note)
            self._written = note
        except (ConnectionRefused, MusterError) as error:  # no reason for a task to do otherwise than it would
            self._given_up = True
            self._log.info("No note is written on the run: %s", reason_of(error))


def _client() -> Airflow:
    from muster_airflow.hooks.airflow_api import AirflowApiHook  # not while DAGs are parsed

    client = AirflowApiHook().client()
    client.timeout, client.patience = 10.0, 0.0  # it is beside the task's own work
    return client
