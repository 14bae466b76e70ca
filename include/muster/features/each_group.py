"""Compute features so that an error of the function for one group is that group's matter, and nobody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from muster.errors import MusterError, bounded, let_through, reason_of
from muster.features.compute import BadFeatures, FeatureFunction, compute, row_schema
from muster.features.files import group_slices
from muster.storage.tables import FEATURE_ERROR
from muster.workload.spec import Workload
from muster.workload.windows import DateRange


class FeaturesFailed(MusterError):
    """Raised when the feature function fails for a larger share of the groups than the workload allows."""

    def __init__(self, workload: Workload, errors: Mapping[str, str], groups: int) -> None:
        causes = bounded((f"{error} ({count})" for error, count in Counter(errors.values()).most_common()), shown=3)
        super().__init__(
            f"feature function '{workload.features.function}' of {workload.name} failed for {len(errors)} of {groups} "
            f"groups, more than the share {workload.max_failed:g} that 'max_failed' allows: {causes}; "
            f"'try' shows the line, for one of {bounded(sorted(errors), shown=3)}"
        )


def compute_each(workload: Workload, function: FeatureFunction, rows: pa.Table, days: DateRange) -> pa.Table:
    """As `compute`; where the function fails for all groups together, it is asked for each group alone.

    A row of a group that it fails for has no features, and in `feature_error` the error's class and text.

    Raises:
        BadFeatures: when a group's features depend on which other groups are computed with it.
    """
    try:
        computed = compute(workload, function, rows, days)
    except BaseException as error:  # somebody else's code: anything may come
        let_through(error)
        ordered = rows.sort_by("group")
        parts = [ordered.slice(start, stop - start) for _, start, stop in group_slices(ordered)]
        return pa.concat_tables([_of_group(workload, function, part, days) for part in parts])
    _check_apart(workload, function, rows, days, computed)
    return computed


def _check_apart(
    workload: Workload, function: FeatureFunction, rows: pa.Table, days: DateRange, computed: pa.Table
) -> None:
    """Check that the smallest group but the first, which has none before it, gets by itself what it got among others.

    Of those that have features of these days: another, quiet since, would tell nothing.

    Which groups share a bucket is a matter of layout: a function that forgets `groupby("group")` gives other features
    with another number of buckets, and for one group in `try`.
    """
    counts = {item["values"]: item["counts"] for item in rows["group"].value_counts().to_pylist()}
    later = sorted(set(computed["group"].unique().to_pylist()) - {min(counts, default=None)})
    if not later:
        return
    group = min(later, key=counts.__getitem__)
    alone = _of_group(workload, function, rows.filter(pc.field("group") == group), days)
    among = computed.filter(pc.field("group") == group)
    own = f"group '{group}' by itself"
    why = (
        'compute whatever goes over rows by groupby("group"), and rolling skew() or kurt(), in which pandas mixes '
        "groups all the same, by apply() for each"
    )
    if errors := feature_errors(alone):
        raise BadFeatures(workload, f"fails for {own}, and not among the other groups: {errors[group]}; {why}")
    for name in workload.features.columns:
        one, other = alone[name].to_numpy(), among[name].to_numpy()
        unlike = ~np.isclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)
        if unlike.any():
            first, then = one[unlike][0], other[unlike][0]
            raise BadFeatures(
                workload, f"'{name}' is {first:.9g} for {own}, and {then:.9g} among the other groups; {why}"
            )


def _of_group(workload: Workload, function: FeatureFunction, rows: pa.Table, days: DateRange) -> pa.Table:
    try:
        return compute(workload, function, rows, days)
    except BaseException as error:
        let_through(error)
        features = compute(workload, lambda observed: _unknown(workload, observed), rows, days)
        failed = pa.repeat(f"{type(error).__name__}: {reason_of(error)}", features.num_rows)
        columns = [failed if name == FEATURE_ERROR else features[name] for name in features.column_names]
        return pa.table(columns, schema=row_schema(workload))


def _unknown(workload: Workload, observed: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(np.nan, index=observed.index, columns=list(workload.features.columns))


def feature_errors(rows: pa.Table) -> dict[str, str]:
    """Return group -> error, of the groups with a row that has no features."""
    failed = rows.filter(pc.is_valid(rows[FEATURE_ERROR]))
    return dict(zip(failed["group"].to_pylist(), failed[FEATURE_ERROR].to_pylist(), strict=True))


def check_failed(workload: Workload, errors: Mapping[str, str], groups: int) -> None:
    """Check the share of groups that the function failed for.

    Raises:
        FeaturesFailed: when it is above `max_failed`.
    """
    if len(errors) > workload.max_failed * groups:
        raise FeaturesFailed(workload, errors, groups)
