"""A source whose keys do not fit together, or not the rest of the workload."""

from __future__ import annotations

import re
from collections.abc import Iterator

from muster.workload.source import DATE, DEFAULT_FILES, DeclaredSource, compression
from muster.workload.spec import Workload
from muster.workload.wording import Problem


def source(workload: Workload) -> Iterator[Problem]:
    """Find files that nothing says how to read, and keys that say nothing about such files."""
    declared = workload.source
    for other in ("sql", "table"):
        if getattr(declared, other) is not None:
            yield from _beside(other, workload)
            return
    held = declared.read_as
    if held is None:
        why = "does not say by its end what the files hold"
        yield "source.format", f"'{declared.files}' {why}; write csv, tsv, jsonl or parquet"
    if declared.delimiter is not None and held not in (None, "csv"):
        yield "source.delimiter", f"is of 'format: csv', and these files are {held}; leave it out, or write that format"
    if held == "parquet":
        if declared.encoding != "utf-8":
            yield "source.encoding", "is of text, and parquet says itself how its texts are written; leave it out"
        if (kind := compression(declared.files)) is not None:
            yield "source.files", f"is parquet within {kind}, which is not read: parquet is compressed by itself"
    yield from _complete(declared)
    if workload.landing and not _is_landed_to(declared):
        yield (
            "landing",
            f"a function delivers '{DEFAULT_FILES}' alone, CSV with commas in UTF-8; leave 'landing' out where "
            "'source' has other files",
        )


def _beside(kind: str, workload: Workload) -> Iterator[Problem]:
    """Find keys that are of files, or of a table, where the source is of another kind."""
    for key in ("files", "format", "delimiter", "encoding", "complete", *(["table"] if kind == "sql" else [])):
        if key in workload.source.model_fields_set and getattr(workload.source, key) is not None:
            of = "another source" if key == "table" else "of files"
            yield f"source.{key}", f"is {of}, and '{kind}' is written: leave one of them out"
    if workload.landing:
        yield "landing", f"a function delivers files, and 'source.{kind}' is read; leave one of them out"


def _complete(declared: DeclaredSource) -> Iterator[Problem]:
    """Find a mark of completeness that is none of one day."""
    if not declared.complete:
        return
    path = "source.complete"
    if re.search(r"[/*?\[{}]", declared.complete.replace(DATE, "")) or declared.complete in (".", ".."):
        yield path, f"'{declared.complete}' is no name of a file beside a day's files; write one, as '_SUCCESS'"
    elif re.search(r"[*?]", declared.folder):
        yield path, f"is of one folder a day, and '{declared.folder}' stands for many; name the folder, or leave it out"
    elif DATE not in f"{declared.folder}/{declared.complete}":
        yield path, f"'{declared.complete}' would be that of all days, as they share a folder; write '{DATE}.done'"


def _is_landed_to(declared: DeclaredSource) -> bool:
    plain = declared.separator == "," and declared.encoding == "utf-8" and not declared.complete
    return declared.files == DEFAULT_FILES and declared.read_as == "csv" and plain
