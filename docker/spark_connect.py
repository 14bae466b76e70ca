"""Become the Spark Connect server, configured as the local one is; it listens where MUSTER_SPARK_HOST says."""

from __future__ import annotations

import os

from muster.settings import settings
from muster_local import spark_server
from muster_local.environment import toolchain

env = toolchain(settings())
part = spark_server.part(settings(), env)
part.prepare()
[server] = part.services
os.execvpe(server.command[0], list(server.command), {**env, **server.env})  # noqa: S606 - no shell: the command is ours
