"""A group's name, bucket and seed: stable across processes, machines and partitionings."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import zlib
from collections.abc import Iterable, Sequence

WILDCARD = "*"
"""Stands in a parent group's name for a key that it pools over; a real value `*` is quoted."""


def _field(value: str) -> str:
    quoted = value == WILDCARD or value == "" or value != value.strip() or any(c in value for c in ',"\r\n')
    return '"' + value.replace('"', '""') + '"' if quoted else value


def name(values: Sequence[object]) -> str:
    """Return the canonical text of key `values`: one CSV row, `UA,EWR,ORD`."""
    return ",".join(_field(str(value)) for value in values)


def parent_name(keys: Sequence[str], values: Sequence[object], pooled_by: Sequence[str]) -> str:
    """Return the text of the parent that pools every group with the same values of `pooled_by`: `*,EWR,*`."""
    pooled_keys = set(pooled_by)
    return ",".join(_field(str(v)) if key in pooled_keys else WILDCARD for key, v in zip(keys, values, strict=True))


def values(text: str) -> tuple[str, ...]:
    """Return the key values of a group's canonical text."""
    return tuple(next(csv.reader(io.StringIO(text, newline=""), strict=True)))


def nearest(text: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Return the known groups most like what somebody typed, whatever its case and blanks, the most alike first."""
    typed = _plain(text)
    plain: dict[str, list[str]] = {}
    for one in sorted(known):
        plain.setdefault(_plain(one), []).append(one)
    alike = difflib.get_close_matches(typed, plain, n=count, cutoff=0.5)
    return [one for match in alike for one in plain[match]][:count]


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def bucket(text: str, buckets: int) -> int:
    """Return the bucket of a group: `crc32 % buckets`, as Spark SQL's `crc32` computes it too."""
    return zlib.crc32(text.encode()) % buckets


def seed(text: str, base: int) -> int:
    """Return the group's own 64-bit seed, drawn from the workload's seed `base`."""
    return int.from_bytes(hashlib.sha256(f"{base}:{text}".encode()).digest()[:8], "big")
