"""The local stack as one: start it, stop it, report its state."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from muster.settings import Settings
from muster.storage.files import Files
from muster_local import airflow_services, mlflow_server, passwords, process, spark_server
from muster_local.airflow_database import update_database
from muster_local.environment import environment
from muster_local.errors import AlreadyStarting, OtherStore
from muster_local.service import Part, Service, Starter, runs

PARTS = ("mlflow", "spark", "airflow")


def start(
    settings: Settings, parts: Sequence[str] = PARTS, on_state: Callable[[str, str], None] = lambda *_: None
) -> set[str]:
    """Start the parts side by side until all are healthy, and return the services that ran already.

    Those are left alone, whatever happens: on any error or interrupt, all that was started here is stopped.
    """
    home = settings.home.resolve()
    with _locked(home):
        passwords.create_passwords(settings)
        env = environment(settings)
        abort = threading.Event()
        starter = Starter(home, settings.host, env, abort, on_state)
        every = _parts(settings, env)
        running = {service.name for part in every for service in part.services if runs(home, service)}
        _check_store(settings, running)
        tasks = [partial(starter.start, part) for part in every if part.name in parts]
        _side_by_side(tasks, abort, partial(stop, settings, running))
        return running


def _check_store(settings: Settings, running: Collection[str]) -> None:
    """Check that the store answers before anything is started, and that what runs was started with the same.

    Raises:
        NotAvailable: when an object store does not.
        OtherStore: when it was not.
    """
    home, ours = settings.home.resolve(), settings.store_root
    for name in running:
        record = process.read_record(home, name)
        service = record.process() if record else None
        theirs = service.environ().get("MUSTER_STORE") if service else None
        if theirs is not None and (began_with := Settings(home=home, store=theirs).store_root) != ours:
            raise OtherStore(began_with, ours)
    if "://" in ours:
        next(iter(Files(ours).listed("landing")), None)


def _side_by_side(tasks: Sequence[Callable[[], None]], abort: threading.Event, undo: Callable[[], object]) -> None:
    """Run the tasks in threads; when one fails or this thread is interrupted, abort the others and undo all."""
    pool = ThreadPoolExecutor(len(tasks))
    futures = [pool.submit(task) for task in tasks]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done():
                future.result()
    except BaseException:
        abort.set()
        undo()  # what the threads wait for ends too, and so do they
        pool.shutdown()
        undo()  # what they began meanwhile
        raise
    pool.shutdown()


def stop(settings: Settings, spare: Collection[str] = ()) -> int:
    """Stop every process of this home, recorded or not, but of services to `spare`; return how many there were."""
    home = settings.home.resolve()
    stopped = process.stop(home, spare=spare)
    for file in (home / "run").glob("*.json"):
        if file.stem not in spare:
            file.unlink(missing_ok=True)
    return stopped


def lives(settings: Settings, service: str) -> bool:
    """Return whether the process of a service is there, whatever it answers."""
    record = process.read_record(settings.home.resolve(), service)
    return record is not None and record.process() is not None


@dataclass(frozen=True)
class ServiceState:
    """The state of a service."""

    service: str
    title: str
    pid: int | None
    healthy: bool
    url: str
    memory: int
    """Bytes of its processes' own memory (shared pages counted once for each)."""


def status(settings: Settings) -> list[ServiceState]:
    """Return the state of every service, checked all at the same time."""
    services = [service for part in _parts(settings, {}) for service in part.services]
    with ThreadPoolExecutor(len(services)) as pool:
        return list(pool.map(lambda service: _state(settings.home.resolve(), service), services))


def _state(home: Path, service: Service) -> ServiceState:
    record = process.read_record(home, service.name)
    running = record.process() if record else None
    if running is None:
        return ServiceState(service.name, service.title, None, False, service.url, 0)
    return ServiceState(service.name, service.title, running.pid, service.healthy(), service.url, _memory(running))


def _memory(parent: psutil.Process) -> int:
    total = 0
    for item in (parent, *parent.children(recursive=True)):
        try:
            total += item.memory_info().rss
        except psutil.Error:
            continue
    return total


def _parts(settings: Settings, env: dict[str, str]) -> list[Part]:
    home = settings.home.resolve()
    return [
        mlflow_server.part(settings),
        spark_server.part(settings, env),
        airflow_services.part(settings, lambda: update_database(settings, home, env)),
    ]


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the home's lock: two at once would start everything twice."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    with (home / "run" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyStarting(home) from None
        yield
