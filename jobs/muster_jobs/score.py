"""Score: predict every row of the partition's slice with the champion and write `predictions`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from muster.backfill.request import AS_OF, CHAMPIONS, TODAY
from muster.champions.as_of import to_score
from muster.errors import UnknownName
from muster.features.made_from import counted
from muster.features.slices import contents, out_of_date
from muster.scoring.score import NoChampionThen, count_predictions, prepare, score_bucket
from muster.storage.attempts import RUN
from muster.storage.evolution import check_observations
from muster.storage.tables import answers_schema, predictions_schema
from muster.training.bins import balance
from muster.workload.windows import DateRange
from muster_jobs.command_line import main
from muster_jobs.days import day_of
from muster_jobs.job import Job

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHAMPION = "champion"
"""The option that says who scores: `as-of`, the champion of the slice's time, or `today`."""


def run(job: Job) -> dict[str, Any]:
    """Score bucket by bucket; many rows go from the executors to the table, not through here.

    The features are taken as they were built: those of a slice's time suit the champion of its time. Where they are out
    of date the result says why: a correction of their rows reaches the predictions only by way of `features`.
    """
    retry, today = job.options.get(RUN) or None, _of_today(job.options.get(CHAMPION, AS_OF))
    try:
        scoring = prepare(job.context, retry, today)
    except NoChampionThen as none:
        return {"skipped_because": str(none), "rows": 0}
    at_most = sum(scoring.features.rows.values())
    job.progress.what, job.progress.total = "rows", at_most
    bins = balance(scoring.costs, job.bins)
    columns = answers_schema(job.workload)
    answers = job.frame_over_bins(bins, partial(score_bucket, scoring), columns, scoring.champions.loads)
    rows = _with_declared(job, answers, scoring.days)
    if scoring.only is not None:
        rows, at_most = _beside_others(job, rows, scoring.only), None
    job.replace(rows, "predictions", f"partition = '{job.windows.key}'", at_most)
    return {
        **count_predictions(job.context),
        **({} if scoring.only is None else {"groups_scored": len(scoring.only)}),
        **({"champion": TODAY} if today else {}),
        **({} if to_score(job.workload, job.windows.key).including else {"by_earlier": True}),
        "model_version": scoring.champions.version,
        "champions_at": scoring.at.timestamp(),
        "features": contents(job.context, scoring.days, scoring.features.version),
        "features_out_of_date": counted(out_of_date(job.context, scoring.days).values()),
    }


def _beside_others(job: Job, rows: DataFrame, only: Collection[str]) -> DataFrame:
    """Return the rows with the partition's predictions of all groups but some, which stay as they are."""
    from pyspark.sql import functions as F

    names = job.spark.createDataFrame([(group,) for group in sorted(only)], "`group` string")
    there = job.spark.read.format("delta").load(job.store.table("predictions"))
    columns = [name for name in predictions_schema(job.workload).names if name in there.columns]
    kept = there.where(F.col("partition") == job.windows.key).join(names, "group", "left_anti").select(*columns)
    return rows.unionByName(kept, allowMissingColumns=True)


def _of_today(champion: str) -> bool:
    """Tell whether the present champion is to score.

    Raises:
        UnknownName: when the option names none.
    """
    if champion not in CHAMPIONS:
        raise UnknownName("champion", champion, CHAMPIONS)
    return champion == TODAY


def _with_declared(job: Job, answers: DataFrame, days: DateRange) -> DataFrame:
    """Add the declared columns that predictions are to have, as `observations` has them of these rows now.

    A row that is there no more has none of them: `features_out_of_date` says that it was corrected away.
    """
    from pyspark.sql import functions as F

    declared = job.workload.predictions.columns
    if not declared:
        return answers
    check_observations(job.workload, job.store.open("observations"))
    observed = job.spark.read.format("delta").load(job.store.table("observations"))
    # A column may be younger than all rows, and the table then has not got it yet.
    there = {name.lower() for name in observed.columns}
    columns = [F.col(name).alias(name) if name.lower() in there else F.lit(None).alias(name) for name in declared]
    own = observed.where(F.col("date").between(days.start, days.stop - timedelta(days=1)))
    # A row's id is its own among those of its day.
    by_day = answers.withColumn("date", day_of(F.col("time"), job.workload.zone))
    return by_day.join(own.select("row_id", "date", *columns), ["row_id", "date"], "left").drop("date")


if __name__ == "__main__":
    main("score", run, options=(RUN, CHAMPION))
