"""What Muster adds to Airflow, found by its entry point."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware

from muster.settings import settings
from muster_airflow.links import MlflowRunLink, ModelVersionLink, SparkLink
from muster_airflow.timetable import KeyedTimetable, SliceTimetable


def known_hosts_only() -> list[dict[str, Any]]:
    """Return what refuses requests by a name that Airflow is not known by, where the settings name any.

    Without a password a web page could else point a name of its own at this machine, and be an admin here.
    """
    names = settings().host_names
    if not names:
        return []
    options = {"allowed_hosts": names, "www_redirect": False}
    return [{"name": "known hosts only", "middleware": TrustedHostMiddleware, "args": [], "kwargs": options}]


class MusterPlugin(AirflowPlugin):
    """What Airflow loads by name: links of Muster's tasks, the timetables of `ingest`, and the hosts it answers to."""

    name = "muster"
    operator_extra_links = [SparkLink(), MlflowRunLink(), ModelVersionLink()]  # noqa: RUF012 - as Airflow declares it
    timetables = [SliceTimetable, KeyedTimetable]  # noqa: RUF012
    fastapi_root_middlewares = known_hosts_only()
