"""`./muster bench`: run the benchmarks, each in a process of its own, and print the figures beside their goals."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muster.errors import UnknownName
from muster.settings import settings
from muster_local import PROJECT

if TYPE_CHECKING:
    from rich.table import Table

FOLDER = PROJECT / "benchmarks"
VERSIONS = ("pyspark", "delta-spark", "deltalake", "mlflow", "apache-airflow", "scikit-learn", "numpy", "pyarrow")
COLUMNS: dict[str, dict[str, Any]] = {
    "benchmark": {"ratio": 3},
    "figure": {"justify": "right", "no_wrap": True},
    "goal": {"no_wrap": True},
    "": {"no_wrap": True},
    "how": {"ratio": 4, "style": "dim"},
}
MET = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks to run; all when none is named.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: proves that they run, not how fast.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the benchmarks and print each figure with its goal, the machine and the versions."""
    known = benchmarks()
    for name in names or ():
        if name not in known:
            raise UnknownName("benchmark", name, known)
    about = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "quick": quick, **machine()}
    results = []
    with _mlflow_server_for_all():
        for name in dict.fromkeys(names or known):
            sys.stderr.write(f"{name}...\n")
            results.append(run(name, quick))
    if as_json:
        typer.echo(json.dumps({**about, "benchmarks": results}, indent=1))
    else:
        _show(about, results)
    if any("error" in result for result in results):
        raise typer.Exit(1)


def benchmarks() -> list[str]:
    """Return the files of `benchmarks/` that define `run`, by name."""
    return [file.stem for file in sorted(FOLDER.glob("[a-z]*.py")) if _defines_run(file)]


@contextmanager
def _mlflow_server_for_all() -> Iterator[None]:
    """Name the home of an MLflow server that the first benchmark to need one starts; stop it at the end."""
    from muster_local import local

    with tempfile.TemporaryDirectory(prefix="muster-bench-") as home:
        os.environ["MUSTER_BENCH_HOME"] = home
        try:
            yield
        finally:
            del os.environ["MUSTER_BENCH_HOME"]
            local.stop(settings().model_copy(update={"home": Path(home)}))


def run(name: str, quick: bool) -> dict[str, Any]:
    """Run one benchmark in a fresh process: `{name, title, figures}`, and `error` when it could not run."""
    from muster_local.environment import toolchain

    command = [sys.executable, "-m", "benchmarks", name, *(["--quick"] if quick else [])]
    completed = subprocess.run(command, cwd=PROJECT, env=toolchain(settings()), stdout=subprocess.PIPE, text=True)  # noqa: S603
    if completed.returncode:
        error = f"it exited with code {completed.returncode}; its output is above"
        return {"name": name, "title": name, "figures": [], "error": error}
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


def machine() -> dict[str, Any]:
    """Return what the figures were measured on: cores, memory, load before, versions."""
    import platform

    import psutil

    hardware = {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
    }
    return {"machine": hardware, "versions": {"python": platform.python_version(), **{n: version(n) for n in VERSIONS}}}


def _defines_run(file: Path) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in body)


def _show(about: dict[str, Any], results: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(_table(results))
    console.print()
    hardware = about["machine"]
    load = ", ".join(map(str, hardware["load_before"]))
    console.print(f"{hardware['cores']} cores, {hardware['memory_gib']} GiB, {hardware['system']}; load before: {load}")
    console.print(", ".join(f"{name} {number}" for name, number in about["versions"].items()))
    if about["quick"]:
        console.print("[dim]--quick: small sizes, so the figures say little; run without it to measure.[/]")


def _table(results: list[dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name, options in COLUMNS.items():
        table.add_column(name, **options)
    for result in results:
        table.add_row(Text(result["title"], style="bold"))
        for item in result["figures"]:
            figure = f"{_number(item['value'])} {item['unit']}"
            table.add_row(Text("  " + item["name"]), figure, item["goal"], MET[item["met"]], Text(item["detail"]))
        if "error" in result:
            table.add_row("  [red]not run[/]", "", "", "", Text(result["error"]))
    return table


def _number(value: float) -> str:
    """Return about three significant digits, whole from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
