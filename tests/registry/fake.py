"""An MLflow server in this process's memory, for tests that are about Muster and not about MLflow.

It is MLflow's own REST layer (its routes, its checks of a request, its error codes, its JSON) over stores that keep
MLflow's own entities in dictionaries, searched by MLflow's own filters. Artifacts are files of a folder. So the least
is written twice, and what the stores do themselves, `test_conformance.py` holds to the real server.

Why not the real server: a call costs it 5 to 10 ms of processor time, nearly all of it in its database layer, and a
promotion makes some forty calls; its start takes seconds. MLflow's own SQL store in this process would save only the
start, and would ask the process's global client for what it needs. This process's own calls it answers at once
(`in_process.py`); to other processes uvicorn serves it, as it does the real one: Werkzeug's server closes the
connection after each answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import uvicorn
import yaml
from a2wsgi import WSGIMiddleware
from flask import Flask
from mlflow.server import handlers
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils import environment, requirements_utils

from tests.registry.in_process import answered_here
from tests.registry.model_store import ModelStore
from tests.registry.run_store import RunStore

ARTIFACTS = "/mlflow-artifacts/"
ARTIFACTS_OF: dict[str, Path] = {}
"""The address of the fake that runs in this process -> its folder of artifacts."""


@contextmanager
def fake_mlflow(folder: Path) -> Iterator[str]:
    """Serve an empty registry, artifacts below `folder`; yield its address. One at a time in a process."""
    stores = {
        "_tracking_store": RunStore(),
        "_model_registry_store": ModelStore(),
        "_artifact_repo": LocalArtifactRepository(str(folder)),
        "_is_serving_proxied_artifacts": lambda: True,
    }
    app = _app()
    config = uvicorn.Config(WSGIMiddleware(app), log_config=None, access_log=False, lifespan="off")
    with mock.patch.multiple(handlers, **stores), socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ARTIFACTS_OF[uri] = folder
        try:
            with answered_here(uri, app), _quick_models():
                yield uri
        finally:
            del ARTIFACTS_OF[uri]
            server.should_exit = True
            thread.join()


@contextmanager
def _quick_models() -> Iterator[None]:
    """Let each model that is saved or loaded cost half: versions of packages are read once, YAML is written by C."""
    with ExitStack() as patched:
        for module, name in ((requirements_utils, "_get_installed_version"), (environment, "_get_package_version")):
            patched.enter_context(mock.patch.object(module, name, cache(getattr(module, name))))
        patched.enter_context(mock.patch.object(yaml, "SafeDumper", yaml.CSafeDumper))
        yield


def _app() -> Flask:
    """Return MLflow's API, which does one thing after another: the stores know no transactions."""
    app, lock = Flask("fake_mlflow"), threading.Lock()
    for number, (path, handler, methods) in enumerate(handlers.get_endpoints()):
        app.add_url_rule(
            path, str(number), _in_turn(handler, nullcontext() if ARTIFACTS in path else lock), methods=methods
        )
    return app


def _in_turn(handler: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    def handle(**arguments: Any) -> Any:
        with lock:
            return handler(**arguments)

    return handle
