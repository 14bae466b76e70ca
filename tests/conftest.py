"""Real services that any suite can ask for: started once a session, in a home of their own, on free ports."""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch
from uuid import uuid4

import pytest
import yaml
from tenacity import retry, retry_if_exception_message, retry_if_exception_type, stop_after_attempt, wait_fixed

from muster.settings import Settings, settings
from muster.settings.connections import variable
from muster.settings.limits import CLASSES
from muster.storage.store import Store
from muster_local import PROJECT, local
from tests import object_store as object_store_process
from tests import reaper, tiers
from tests.object_store import ObjectStore
from tests.preparation import INTERPRETED, java_options
from tests.shared import Shared, processes_of

if TYPE_CHECKING:
    from tests.databases import Database

for _name in {name for name in os.environ if name.startswith("MUSTER_")} - {"MUSTER_VENV", "MUSTER_PROJECT"}:
    del os.environ[_name]  # a developer's own stack is none of the tests'

os.environ.setdefault("JAVA_TOOL_OPTIONS", java_options(INTERPRETED))
os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")  # without it requests reads all variables at each call

# By default it looks at all that was ever imported, again and again: a tenth of the time of tests in one process.
gc.set_threshold(50_000, 20, 20)

# Where another thread imports meanwhile, MLflow's or Spark's, Python's loop over what it has found may fail.
importlib.invalidate_caches = retry(
    retry=retry_if_exception_type(RuntimeError), stop=stop_after_attempt(10), reraise=True
)(importlib.invalidate_caches)

for _name in ("IPython", "dbruntime"):  # MLflow looks for them at each call: 4 ms under pytest
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type] - None: it is not there, without a search


def pytest_configure(config: pytest.Config) -> None:
    """Let nothing that this run starts outlive it, whichever of its processes is stopped."""
    if not hasattr(config, "workerinput"):
        reaper.start()


def pytest_collection_finish() -> None:
    """Keep the collector off what collecting has imported: that stays."""
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: some, of gzip, hold the time, and workers must agree on the tests there are."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test inherits what one before it in the same process has set: variables, settings, patience of a Spark job."""
    monkeypatch.setattr("muster.mlflow.budget.max_wait._holds_spark", False)
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)
    settings.cache_clear()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """What this run's workers share."""
    return Shared.of(tmp_path_factory)


@pytest.fixture(scope="session")
def stack_settings(shared: Shared) -> Settings:
    """Settings of the run's services."""
    return shared.settings("stack")


@pytest.fixture(scope="session")
def mlflow_server(shared: Shared, stack_settings: Settings) -> str:
    """The address of a running MLflow server."""
    with shared.lock("start"):
        local.start(stack_settings, ["mlflow"])
    return stack_settings.mlflow_tracking_uri


@pytest.fixture(scope="session")
def object_store(shared: Shared) -> ObjectStore:
    """A store that speaks S3's protocol, in one process for all workers; a test takes a prefix of its own in it."""
    own = shared.settings("object_store")
    return ObjectStore(**shared.record("object_store", lambda: {"url": object_store_process.start(own.home)}))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares a thing that only one may use at a time; begin with what takes longest."""
    for item in items:
        group = next((name for fixture, name in GROUPS.items() if fixture in getattr(item, "fixturenames", ())), None)
        group = group or _made_once(item)
        if group is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_turn)


def _made_once(item: pytest.Item) -> str | None:
    """Return the module or folder of tests for all of which a fixture of this one is made once, None without one."""
    definitions = [named[-1] for named in item._fixtureinfo.name2fixturedefs.values()]  # type: ignore[attr-defined]
    places = [one.baseid for one in definitions if one.scope in ("module", "package", "session")]
    return min((place for place in places if place not in ("", "tests")), key=len, default=None)


GROUPS = {
    "running_stack": "flights",
    "spark_cluster": "cluster",
    "s3_spark": "stores",
    "spark": "spark",
    "exposed": "sign_on",
}
"""Fixture -> the group of all tests that use it, unless a mark of their own says another; others by `_made_once`."""

LONGEST_FIRST = ("flights", "fx", "stores", "cluster", "wheel", "approval", "spark", "sign_on")
"""The groups in the order in which workers take them; then come other slow tests, then the quick ones."""


def _turn(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    if mark is not None and mark.args[0] in LONGEST_FIRST:
        return LONGEST_FIRST.index(mark.args[0])
    quick, alone = item.get_closest_marker("slow") is None, mark is None
    return len(LONGEST_FIRST) + 2 * quick + alone


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop what the run has started, once all workers are done; what outlives that fails the run."""
    if hasattr(session.config, "workerinput"):
        return
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    if Shared.of(factory).recorded("postgres"):
        from tests import databases

        databases.stop(Shared.of(factory))
    for home in Shared.of(factory).homes():
        local.stop(home)
        if left := processes_of(home.home.resolve()):
            sys.stderr.write(f"\nleft running: {left}\n")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each tier of tests took, beside its budget."""
    reports = [report for group in terminalreporter.stats.values() for report in group if hasattr(report, "duration")]
    terminalreporter.section("minutes of a worker by tier (docs/testing.md)")
    for line in tiers.lines(reports):
        terminalreporter.line(line)


FREELY = json.dumps(dict.fromkeys(CLASSES, 1000))
"""A budget that no test waits for: seven searches a second would take most of the time. How calls are paced is tested
by itself, in `tests/mlflow/budget` and `tests/mlflow_faults`."""


@pytest.fixture
def mlflow_settings(mlflow_server: str, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The session's MLflow server, which the settings name now; its calls are as free as the machine is quick."""
    yield from _named_in_settings(mlflow_server, stack_settings, monkeypatch)


@pytest.fixture(scope="session")
def fake_mlflow_server(stack_settings: Settings) -> Iterator[str]:
    """The address of an MLflow server in this worker's memory; its artifacts are below the services' home."""
    from tests.registry.fake import fake_mlflow  # imports what most tests do without

    with fake_mlflow(stack_settings.home / f"fake_mlflow_{os.getpid()}") as uri:
        yield uri


@pytest.fixture
def registry_server(request: pytest.FixtureRequest) -> str:
    """The address of the MLflow server of a test: the fake, or the real one where `ON_BOTH` or `ON_REAL` says so."""
    servers = {"fake": "fake_mlflow_server", "real": "mlflow_server"}
    return str(request.getfixturevalue(servers[getattr(request, "param", "fake")]))


@pytest.fixture
def registry_settings(registry_server: str, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The test's MLflow server, which the settings name now, as `mlflow_settings` names the real one."""
    yield from _named_in_settings(registry_server, stack_settings, monkeypatch)


def _named_in_settings(uri: str, stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {"URI": uri, "BUDGET": FREELY}.items():
        monkeypatch.setenv(f"MUSTER_MLFLOW_{name}", value)
    monkeypatch.setenv("MUSTER_HOME", str(stack.home))  # the budget's books are kept there
    settings.cache_clear()
    yield uri
    settings.cache_clear()


OF_SPARK = "of_spark"
"""The database that the Spark server's workers know: made by the test that has them read it."""


@pytest.fixture
def postgres(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of a test's own, the one that the connection `orders_db` is to."""
    from tests import databases  # imports what most tests do without

    with databases.database(shared, f"of_test_{uuid4().hex}") as made:
        monkeypatch.setenv(variable("orders_db"), databases.with_password(made.url))
        yield made


@pytest.fixture(scope="session")
def spark_connect_server(shared: Shared, stack_settings: Settings) -> str:
    """The address of a running Spark Connect server with Delta: `SPARK_REMOTE` of a job."""
    from tests import databases

    of_workers = {variable(OF_SPARK): databases.with_password(databases.address(shared).set(database=OF_SPARK))}
    with shared.lock("start"), patch.dict(os.environ, of_workers):
        local.start(stack_settings, ["spark"])
    return stack_settings.spark_remote


@dataclass(frozen=True)
class RunningStack:
    """A home in which `./muster up` has run: its services are up, two weeks of flights went through the line."""

    settings: Settings
    up: str = ""
    """What `up` told."""

    @property
    def home(self) -> Path:
        return self.settings.home.resolve()

    @property
    def env(self) -> dict[str, str]:
        """The environment by which any command of Muster finds this home, whatever this machine's own says."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", "AIRFLOW"))}
        # No workload comes or goes while the tests run, so DAG files are seldom read again.
        seldom = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300"}
        own = {"MUSTER_VENV": sys.prefix, "JAVA_TOOL_OPTIONS": java_options(), **seldom}
        return {**kept, **own, **self.settings.environment()}

    def muster(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `./muster ...` on this home; raise with all that it told when it fails."""
        command = [*launcher(), *arguments]
        done = subprocess.run(command, env=self.env, cwd=PROJECT, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"muster {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


def launcher() -> list[str]:
    """Return `./muster`; or what it starts, where it would first change the environment that these tests run in."""
    lock = hashlib.sha256(b"".join((PROJECT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")))
    installed = Path(sys.prefix, ".muster-lock")
    fresh = installed.exists() and installed.read_text().strip() == lock.hexdigest()
    return [str(PROJECT / "muster")] if fresh else [sys.executable, "-m", "muster_local"]


ASKS_FIRST = "asks_first"
"""A workload of the running stack beside the declared ones: a human must approve what changes half of its champion."""

LATE = "arrives_late"
"""Another, which waits for its data."""

SELDOM = "trained_seldom"
"""Another, which is not trained with each of its partitions."""
WATCHED = "watched"
"""Another, which nothing of has ever run: its predictions are late, and somebody is to be told."""
BACKFILLED = "backfilled"
"""Another, which only backfills bring anywhere."""
ARRIVING = "runs_what_arrives"
"""Another, which runs what arrives."""


def _workloads(folder: Path) -> None:
    """Copy the declared workloads to a folder, and add the one that asks first, one that predicts a number, one that
    waits for its data, one with a deadline, one that runs what arrives."""
    from tests.parcels import MINUTES  # imports what most tests do without
    from tests.plugins.airflow_task import FEATURES, WORKLOAD
    from tests.promotion.conftest import DECLARED

    shutil.copytree(PROJECT / "include" / "workloads", folder, ignore=shutil.ignore_patterns("__pycache__"))
    declared = {**DECLARED, "gate": {"baseline": "record", "max_changed": 0.5, "resample": "row"}}
    (folder / f"{ASKS_FIRST}.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    (folder / f"{ASKS_FIRST}.py").write_text("def features(rows):\n    return rows[['delay']]\n", encoding="utf-8")
    declared_minutes = MINUTES.declare(folder)
    for file in (declared_minutes, declared_minutes.with_suffix(".py")):
        shutil.copy(file, folder / f"{BACKFILLED}{file.suffix}")
    (folder / f"{LATE}.yaml").write_text(f"{WORKLOAD}freshness: {{look_every_minutes: 0.1}}\n", encoding="utf-8")
    (folder / f"{LATE}.py").write_text(FEATURES, encoding="utf-8")
    windows = "windows: {train: 7, evaluate: 7, min_rows: 4}\ngate: {min_positives: 1, min_rows: 2}"
    seldom = WORKLOAD.replace("windows: {train: 14, evaluate: 7}", windows)
    (folder / f"{SELDOM}.yaml").write_text(f"{seldom}retrain: {{every: 14}}\n", encoding="utf-8")
    (folder / f"{SELDOM}.py").write_text(FEATURES, encoding="utf-8")
    ended = WORKLOAD.replace("2024-01-01", "2024-01-01, end: 2024-02-05")
    told = 'deadlines: {predictions_by: "06:00"}\nalerts: [{webhook: pager}]\n'
    (folder / f"{WATCHED}.yaml").write_text(ended + told, encoding="utf-8")
    (folder / f"{WATCHED}.py").write_text(FEATURES, encoding="utf-8")
    (folder / f"{ARRIVING}.yaml").write_text(f"{WORKLOAD}arrivals: {{look_seconds: 5}}\n", encoding="utf-8")
    (folder / f"{ARRIVING}.py").write_text(FEATURES, encoding="utf-8")


@pytest.fixture(scope="session")
def started_stack(shared: Shared) -> RunningStack:
    """A stack whose services `./muster up` has started, once for all tests of a run; nothing went through it yet."""
    own = shared.settings("running")
    stack = RunningStack(own.model_copy(update={"workloads": own.home / "workloads"}))

    def started() -> dict[str, str]:
        _workloads(stack.settings.workloads)
        return {"stdout": stack.muster("up", "--weeks", "0", timeout=600).stdout}

    return RunningStack(stack.settings, shared.record("started", started)["stdout"])


@pytest.fixture(scope="session")
def running_stack(shared: Shared, started_stack: RunningStack) -> RunningStack:
    """The stack through which the real `./muster up` brought two weeks of flights.

    It takes minutes: mark a test that asks for it `e2e` and `slow`. The tests share it, so each leaves it as it was.
    """
    up = shared.record("up", lambda: {"stdout": _up(started_stack)})
    return RunningStack(started_stack.settings, up["stdout"])


@pytest.fixture(scope="session")
def fx_spread_up(shared: Shared, started_stack: RunningStack) -> str:
    """What `./muster up --workload fx_spread` printed: it runs beside the flights, once for all tests of a run."""
    up = shared.record("fx_spread", lambda: {"stdout": _up(started_stack, "--workload", "fx_spread")})
    return str(up["stdout"])


@pytest.fixture(scope="session")
def minutes_up(shared: Shared, started_stack: RunningStack) -> str:
    """What `./muster up` printed of a workload whose outcome is a number: once for all tests of a run."""
    from tests.parcels import MINUTES, PARTITION

    def up() -> dict[str, str]:
        MINUTES.land(Store(started_stack.settings.store_root, MINUTES.name))
        return {"stdout": _up(started_stack, "--workload", MINUTES.name, "--partition", str(PARTITION))}

    return str(shared.record("minutes", up)["stdout"])


@retry(
    retry=retry_if_exception_message(match=r"(?s).*another ./muster up is at work"),
    wait=wait_fixed(2),
    stop=stop_after_attempt(30),
    reraise=True,
)
def _up(stack: RunningStack, *arguments: str) -> str:
    """Run `./muster up`; of two in the same moment one is told to wait for the other."""
    return stack.muster("up", *arguments, timeout=1800).stdout
