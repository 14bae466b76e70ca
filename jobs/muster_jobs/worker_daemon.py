"""Spark's Python daemon with the heavy libraries imported before it forks a worker.

A worker then starts in a tenth of a second, where each would import scikit-learn for seconds. And they are frozen:
Spark's worker collects garbage after each task, and would look at all of them each time (50 ms for 5).
"""

import contextlib
import gc
import importlib

from pyspark import daemon

for name in (
    *("numpy", "pandas", "pyarrow.dataset", "sklearn.linear_model", "sklearn.metrics"),
    *("deltalake", "pydantic_settings", "requests", "yaml"),
):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
gc.freeze()

if __name__ == "__main__":
    daemon.manager()
