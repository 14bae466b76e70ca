"""The password of an object store's address is in no log of Airflow's."""

from __future__ import annotations

import pytest

from muster_airflow.hooks import store
from muster_airflow.hooks.store import mask_store_password
from muster_airflow.triggers import looks
from tests.plugins.airflow_task import context_of, operator
from tests.plugins.late_data import Declare, deferred, due


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    masked: set[str] = set()
    monkeypatch.setattr(store, "mask_secret", masked.add)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://ann:hid%2Fden@store:9000")
    return masked


def test_it_is_masked_as_it_is_written_and_as_it_is_meant(masked: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    mask_store_password()
    assert masked == {"hid%2Fden", "hid/den"}
    masked.clear()
    for address in ("https://store:9000", "https://ann@store", "http://[", ""):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        mask_store_password()
    assert masked == set()


def test_whatever_asks_the_store_in_airflow_masks_it_first(masked: set[str], sensor: Declare) -> None:
    task = sensor()
    deferred(task, due())
    assert masked
    masked.clear()
    looks.see(task.workload, "2024-02-05")
    assert masked
    masked.clear()
    operator("train", "train.py", task.workload, needed="spark")._call(context_of())
    assert masked
