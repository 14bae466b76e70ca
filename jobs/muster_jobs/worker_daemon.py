"""Spark's Python daemon with the heavy libraries imported before it forks a worker.

A worker then starts in a tenth of a second, where each would import scikit-learn for seconds.
"""

import contextlib
import importlib

from pyspark import daemon

for name in ("numpy", "pandas", "pyarrow", "sklearn.linear_model", "sklearn.metrics"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)

if __name__ == "__main__":
    daemon.manager()
