"""What memory Spark's tasks have, and tasks that take several of an executor's cores so as to have more of it."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from muster.settings import Settings
from muster.training.task_memory import Memory

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

_UNITS = {"": 2**20, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
"""Spark's; a bare number is of megabytes, in the one setting that is read here."""

SPARE = 0.8
"""Of the memory that is free on this machine, the share that training may take."""


def task_memory(session: SparkSession, settings: Settings) -> Memory | None:
    """Return what one task's Python has, and how many share it; None where nobody says.

    That is MUSTER_TASK_MEMORY; else `spark.executor.pyspark.memory`, which Spark divides among an executor's cores;
    else, where Spark runs on this machine, what is free of it.
    """
    local = _local_cores(session)
    cores = local or max(1, _number(session, "spark.executor.cores", 1) // _number(session, "spark.task.cpus", 1))
    if settings.task_memory:
        return Memory(_bytes(settings.task_memory), cores, not local)
    if declared := session.conf.get("spark.executor.pyspark.memory", None):
        return Memory(_bytes(declared) // cores, cores, not local)
    return Memory(int(psutil.virtual_memory().available * SPARE) // local, local) if local else None


def of_several_cpus(session: SparkSession, cpus: int) -> ResourceProfile | None:
    """Return what makes Spark give so many cores to a task; None for one, and on one machine, which knows no such."""
    if cpus == 1 or _local_cores(session):
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(cpus)).build


def _local_cores(session: SparkSession) -> int | None:
    """Return how many cores Spark has on this very machine; None where it is a cluster, or elsewhere."""
    master = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", session.conf.get("spark.master", "") or "")
    if master is None or not _is_here(os.environ.get("SPARK_REMOTE")):
        return None
    cores = master[1] or "1"
    return (os.cpu_count() or 1) if cores == "*" else int(cores)


def _is_here(remote: str | None) -> bool:
    host = urlsplit(remote).hostname if remote else None
    if host in (None, "localhost"):
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def _number(session: SparkSession, name: str, default: int) -> int:
    text = session.conf.get(name, None) or ""
    return int(text) if text.isdecimal() else default


def _bytes(text: str) -> int:
    read = re.fullmatch(r"(\d+)\s*([bkmgt]?)b?", text.strip().lower())
    if read is None:
        raise ValueError(f"'{text}' is no size of memory")
    return int(read[1]) * _UNITS[read[2]]
