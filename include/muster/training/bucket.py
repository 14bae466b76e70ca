"""Train every group of one bucket: an Arrow table in, a shard of models and an Arrow table of outcomes out."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from muster.context import PartitionContext
from muster.features.each_group import feature_errors
from muster.features.files import group_slices, read_bucket
from muster.models.shards import ShardWriter
from muster.storage.delta import parquet_files
from muster.storage.files import Files
from muster.storage.tables import FEATURE_ERROR, SAMPLE_WEIGHT
from muster.training.fit import FitPlan, Rows, fit_group
from muster.training.large_groups import NONE, LargeGroups
from muster.training.outcome_tables import outcomes_table


def read_run_rows(
    context: PartitionContext, files: Sequence[str], large: LargeGroups = NONE, only: Collection[str] | None = None
) -> pa.Table:
    """Read the rows of the run's days, sorted by group and time, without the columns that no file has.

    `only` names the groups that are read. Of `large` ones only those rows are that are sampled, which are picked out
    batch by batch: the others are never in memory.
    """
    present: set[str] = set()
    for fragment in parquet_files(files).get_fragments():
        present.update(fragment.physical_schema.names)
    workload = context.workload
    columns = [name for name in workload.features.columns if name in present]
    own = ["group", "parent", "date", "label", FEATURE_ERROR, *([SAMPLE_WEIGHT] if workload.weight else [])]
    return read_bucket(workload, files, context.windows.run, [*own, *columns], only=only, keep=large.keep())


def train_bucket(plan: FitPlan, rows: pa.Table, bucket: int, files: Files, folder: str) -> pa.Table:
    """Fit group after group with every algorithm, on one thread; return an OUTCOMES row for each.

    Takes `rows` sorted by group and time: `group`, `parent`, `date`, `label` (null: unknown), `feature_error` (a group
    with one has failed), the plan's columns and, where it is declared, `sample_weight`. Only
    rows of the plan's training days are learnt from, those without a label by outlier detectors. The models go to
    a shard in `folder`, below the root of `files`.
    """
    learnt = _is_learnt(plan, rows)
    missing = [name for name in plan.columns if name not in rows.column_names]
    training_rows = _training_rows(plan, rows.filter(pa.array(learnt)), missing)
    before = np.concatenate([[0], np.cumsum(learnt)]).tolist()
    slices, errors = group_slices(rows), feature_errors(rows)
    outcomes = []
    with ShardWriter(files, folder) as shard, threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of groups that do not converge would fill the logs
        for group, start, stop in slices:
            own = training_rows.only(slice(before[start], before[stop]))
            outcome = fit_group(plan, group, *own[:2], missing, errors.get(group), own.weights)
            outcomes.append((outcome, [shard.add(fit.model) if fit.model else None for fit in outcome.fits]))
    parents = rows["parent"].take(pa.array([start for _, start, _ in slices], pa.int64()))
    return outcomes_table(bucket, [group for group, _, _ in slices], parents, outcomes, shard.path)


def _is_learnt(plan: FitPlan, rows: pa.Table) -> np.ndarray:
    """Return which rows any algorithm learns from, (rows,) bool: of the training days, and labelled if all need it."""
    date = rows["date"]
    within = pc.and_(pc.greater_equal(date, plan.train.start), pc.less(date, plan.train.stop))
    if not plan.labelled_only:
        return np.asarray(within, dtype=bool)
    labelled = pc.fill_null(pc.invert(pc.is_nan(rows["label"])), False)
    return np.asarray(pc.and_(within, labelled), dtype=bool)


def _training_rows(plan: FitPlan, rows: pa.Table, missing: Sequence[str]) -> Rows:
    """Return features, labels and weights as float64; unknown values are NaN."""
    columns = [rows[name].to_numpy() for name in plan.columns if name not in missing]
    features = np.column_stack(columns) if columns else np.empty((rows.num_rows, 0))
    weights = rows[SAMPLE_WEIGHT].to_numpy() if SAMPLE_WEIGHT in rows.column_names else None
    labels = rows["label"].to_numpy().astype(np.float64, copy=False)
    return Rows(features.astype(np.float64, copy=False), labels, weights)
