"""What memory a task has, by Spark's own settings; and tasks of several cores, where a cluster allows them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from muster.settings import Settings
from muster.training.task_memory import Memory
from muster_jobs import task_memory as module
from muster_jobs.task_memory import of_several_cpus, task_memory

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GIB = 2**30


def session(**conf: str) -> Any:
    names = {name.replace("_", "."): value for name, value in conf.items()}
    return SimpleNamespace(conf=SimpleNamespace(get=lambda name, default: names.get(name, default)))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * GIB))
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    monkeypatch.delenv("SPARK_REMOTE", raising=False)


@pytest.mark.parametrize(
    ("conf", "remote", "memory"),
    [
        ({"spark_master": "local[4]"}, None, Memory(2 * GIB, 4)),
        ({"spark_master": "local[*]"}, "sc://localhost:15002", Memory(GIB, 8)),
        ({"spark_master": "local[2,3]"}, "sc://[::1]:15002", Memory(4 * GIB, 2)),
        ({"spark_master": "local"}, "sc://127.0.0.1", Memory(8 * GIB, 1)),
        ({"spark_master": "local[4]"}, "sc://spark.example.com", None),
        ({"spark_master": "spark://m:7077"}, None, None),
        ({}, None, None),
        (
            {"spark_master": "spark://m:7077", "spark_executor_pyspark_memory": "8g", "spark_executor_cores": "4"},
            None,
            Memory(2 * GIB, 4, of_an_executor=True),
        ),
        (
            {
                "spark_master": "yarn",
                "spark_executor_pyspark_memory": "6144",
                "spark_executor_cores": "4",
                "spark_task_cpus": "2",
            },
            None,
            Memory(3 * GIB, 2, of_an_executor=True),
        ),
    ],
)
def test_a_tasks_memory_is_what_spark_says_or_what_is_free_here(
    conf: dict[str, str], remote: str | None, memory: Memory | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if remote:
        monkeypatch.setenv("SPARK_REMOTE", remote)
    assert task_memory(session(**conf), Settings()) == memory


def test_what_is_declared_counts_before_all_else() -> None:
    conf = {"spark_master": "yarn", "spark_executor_pyspark_memory": "8g", "spark_executor_cores": "4"}
    assert task_memory(session(**conf), Settings(task_memory="512m")) == Memory(GIB // 2, 4, of_an_executor=True)


def test_only_a_cluster_gives_a_task_several_cores() -> None:
    assert of_several_cpus(session(spark_master="local[4]"), 2) is None
    assert of_several_cpus(session(spark_master="spark://m:7077"), 1) is None


@pytest.mark.spark
def test_the_tests_own_server_runs_on_this_machine(spark: SparkSession) -> None:
    memory = task_memory(spark, Settings())
    assert memory is not None
    assert (memory.cores, memory.of_task) == (2, int(10 * GIB * module.SPARE) // 2)
