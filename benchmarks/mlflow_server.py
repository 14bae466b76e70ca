"""The MLflow server that benchmarks measure: none of the stack's, and one for all that a `./muster bench` runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muster.settings import Settings
from muster_local import local
from muster_local.passwords import write_once
from muster_local.ports import free_ports


@contextmanager
def mlflow_server(settings: Settings) -> Iterator[Settings]:
    """Yield the settings of a running server: `bench` stops it at its end, else it stops here."""
    of_bench = os.environ.get("MUSTER_BENCH_HOME")
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as scratch:
        home = Path(of_bench or scratch)
        write_once(home / "port", lambda: str(free_ports(1)[0]))
        own = settings.model_copy(
            update={"home": home, "mlflow_port": int((home / "port").read_text()), "mlflow_uri": ""}
        )
        try:
            local.start(own, ["mlflow"])
            yield own
        finally:
            if not of_bench:
                local.stop(own)
