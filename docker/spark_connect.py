"""Become the Spark Connect server, configured as the local one is; it listens where MUSTER_SPARK_HOST says."""

from __future__ import annotations

import os

from muster.settings import settings
from muster_local import spark_server

[server] = spark_server.part(settings(), lambda: None).services
os.execvp(server.command[0], list(server.command))  # noqa: S606 - no shell: the command is ours
