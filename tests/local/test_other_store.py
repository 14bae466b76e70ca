"""`up` looks at the store before it starts anything: that it answers, and that what runs has the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from muster.settings import Settings
from muster.storage.object_store import NotAvailable
from muster_local import local, process
from muster_local.errors import OtherStore


@pytest.mark.parametrize("named", [True, False], ids=["named", "the home's own"])
def test_services_that_run_with_another_store_are_not_taken_for_ours(tmp_path: Path, named: bool) -> None:
    theirs = Settings(home=tmp_path, store=str(tmp_path / "store") if named else "")
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=theirs.environment()
    ) as service:
        started = psutil.Process(service.pid).create_time()
        process.write_record(tmp_path, process.Record("airflow-api", service.pid, started))
        try:
            with pytest.raises(OtherStore, match=rf"'{tmp_path}/store', and MUSTER_STORE is '{tmp_path}/ours' now"):
                local.start(Settings(home=tmp_path, store=str(tmp_path / "ours")), parts=())
        finally:
            service.kill()


@pytest.mark.slow  # it is asked ten times
def test_a_store_that_does_not_answer_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "x")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(NotAvailable, match="does not give 's3://lake-of-nobody/muster/landing'"):
        local.start(Settings(home=tmp_path, store="s3://lake-of-nobody/muster"))
    assert process.read_record(tmp_path, "mlflow") is None
