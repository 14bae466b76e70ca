"""Run one benchmark in this process and print its figures as JSON: `python -m benchmarks NAME [--quick]`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from types import ModuleType
from typing import Any

from muster.errors import MusterError
from muster.settings import settings


def main() -> None:
    """Print `{"name", "title", "figures"}`, with "error" where the benchmark cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", help="a file of benchmarks/ without .py")
    parser.add_argument("--quick", action="store_true", help="small sizes: proves that it runs")
    arguments = parser.parse_args()
    module = importlib.import_module(f"benchmarks.{arguments.name}")
    _pickle_by_value(module)
    title = (module.__doc__ or arguments.name).strip().splitlines()[0].rstrip(".")
    result: dict[str, Any] = {"name": arguments.name, "title": title, "figures": []}
    with contextlib.redirect_stdout(sys.stderr):
        try:
            result["figures"] = [figure.as_json() for figure in module.run(settings(), quick=arguments.quick)]
        except MusterError as error:
            result["error"] = str(error)
    print(json.dumps(result))


def _pickle_by_value(module: ModuleType) -> None:
    """Let Spark's Python workers, which cannot import this folder, receive a benchmark's functions whole."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(module)


if __name__ == "__main__":
    main()
