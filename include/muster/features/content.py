"""What rows of features hold, day by day: a digest that knows neither their order nor their files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster.context import Context
from muster.features.compute import row_schema
from muster.features.each_group import feature_errors
from muster.features.files import files_of
from muster.features.made_from import ASKED, Sources, slice_days
from muster.storage.delta import parquet_files
from muster.storage.provenance import Fact, content_digest, file_digests, read_facts
from muster.storage.tables import FEATURE_ERROR, RESAMPLE_BY, SAMPLE_WEIGHT
from muster.workload.spec import Workload
from muster.workload.windows import DateRange

CONTENT = pa.schema(
    [
        ("rows", pa.int64()),
        ("groups", pa.int64()),
        ("parents", pa.int64()),
        ("days", pa.string()),
        ("errors", pa.string()),
    ]
)
"""What a bucket's files hold. In JSON, `days`: day -> [rows, the sum of their hashes, the same without labels];
`errors`: group -> the error of the feature function."""

Sums = Mapping[str, Sequence[int]]


def bucket_content(workload: Workload, files: Sequence[str]) -> pa.Table:
    """Return a row of `CONTENT` for a bucket's files."""
    rows = parquet_files(files, row_schema(workload)).to_table()
    parents = rows.group_by(["group", "parent"]).aggregate([])["parent"]
    counts = {"rows": rows.num_rows, "groups": pc.sum(pc.invert(parents)), "parents": pc.sum(parents)}
    columns = {name: [pa.scalar(value).as_py() or 0] for name, value in counts.items()}
    texts = {"days": [json.dumps(_day_sums(rows))], "errors": [json.dumps(feature_errors(rows))]}
    return pa.table({**columns, **texts}, schema=CONTENT)


def _day_sums(rows: pa.Table) -> Sums:
    """Return day -> the number of its rows and the sum of a 64-bit hash of each: any order adds up to the same.

    And the sum of what models are asked alone: a label that has arrived since changes no prediction, nor does
    a weight, or what the gate draws by.
    """
    if rows.num_rows == 0:
        return {}
    if rows[FEATURE_ERROR].null_count == rows.num_rows:  # as from before there was this column
        rows = rows.drop_columns(FEATURE_ERROR)
    frame = rows.to_pandas(date_as_object=False, deduplicate_objects=False, categories=["group"])
    days, place = np.unique(rows["date"].to_numpy(), return_inverse=True)
    sums = np.zeros((2, len(days)), np.uint64)
    for number, columns in enumerate(
        (frame, frame.drop(columns=["label", SAMPLE_WEIGHT, RESAMPLE_BY], errors="ignore"))
    ):
        hashes = pd.util.hash_pandas_object(columns, index=False, categorize=False).to_numpy()
        np.add.at(sums[number], place, hashes)  # wraps around
    counted = zip(days, np.bincount(place), *sums, strict=True)
    return {str(day): [int(number) for number in numbers] for day, *numbers in counted}


def day_digests(buckets: Iterable[str], labels: bool = True) -> dict[str, str]:
    """Return day -> digest from the `days` of all buckets: the same however many there are; or that without labels."""
    counts, sums = Counter[str](), Counter[str]()
    for text in buckets:
        for day, (rows, *totals) in json.loads(text).items():
            counts[day] += rows
            sums[day] += totals[0 if labels else 1]
    return {day: content_digest(counts[day], sums[day]) for day in sorted(counts)}


def content_of(context: Context, version: int, days: DateRange) -> dict[str, str]:
    """Return day -> digest of the rows of `days` at a Delta version of `features`.

    The facts that were written down with the slices say it. Slices without one, that another Muster or somebody else
    wrote, are read here, file by file.
    """
    store, workload = context.store, context.workload
    table = store.open("features", version)
    if table is None:
        return {}
    facts = read_facts(store, "features", file_digests(store, "features", version))
    files = list(files_of(context, table, days))
    content = {
        day: digest
        for name in {file.slice for file in files} & facts.keys()
        for day, digest in facts[name].content.items()
    }
    with ThreadPoolExecutor() as pool:
        unknown = pool.map(
            lambda path: bucket_content(workload, [path]), (f.path for f in files if f.slice not in facts)
        )
    content |= day_digests(held["days"][0].as_py() for held in unknown)
    return {day: digest for day, digest in sorted(content.items()) if days.start <= date.fromisoformat(day) < days.stop}


def slice_facts(
    sources: Sources,
    first_days: Iterable[date],
    content: Mapping[str, str],
    version: int | None = None,
    asked: Mapping[str, str] | None = None,
) -> list[Fact]:
    """Return what is to be written down about slices that were built from `sources` and hold `content` at a version.

    `asked` is the content without labels.
    """
    context = sources.context
    files = file_digests(context.store, "features", version)
    facts = []
    for first in first_days:
        days = {day.isoformat() for day in slice_days(context.workload, first).days()} & content.keys()
        held = {day: content[day] for day in sorted(days)}
        key = first.isoformat()
        of_models = {} if asked is None else {ASKED: {day: asked[day] for day in held}}
        facts.append(Fact("features", key, files.get(key, ""), held, {**sources.of(first), **of_models}))
    return facts
