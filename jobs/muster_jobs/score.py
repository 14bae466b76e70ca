"""Score: predict every row of the partition's slice with the champion and write `predictions`."""

from __future__ import annotations

from functools import partial
from typing import Any

from muster.features.made_from import counted
from muster.features.slices import contents, out_of_date
from muster.scoring.score import NoChampionThen, count_predictions, prepare, score_bucket
from muster.storage.tables import predictions_schema
from muster.training.bins import balance
from muster_jobs.command_line import main
from muster_jobs.job import Job


def run(job: Job) -> dict[str, Any]:
    """Score bucket by bucket; the rows go from the executors to the table, not through here.

    The features are taken as they were built: those of a slice's time suit the champion of its time. Where they are out
    of date the result says why: a correction of their rows reaches the predictions only by way of `features`.
    """
    try:
        scoring = prepare(job.context)
    except NoChampionThen as none:
        return {"skipped_because": str(none), "rows": 0}
    bins = balance(scoring.costs, job.bins)
    columns = predictions_schema(job.workload)
    rows = job.frame_over_bins(bins, partial(score_bucket, scoring), columns, scoring.champions.loads)
    at_most = sum(scoring.features.rows.values())
    job.replace(rows, "predictions", f"partition = '{job.windows.key}'", at_most)
    return {
        **count_predictions(job.context),
        "model_version": scoring.champions.version,
        "champions_at": scoring.at.timestamp(),
        "features": contents(job.context, scoring.days, scoring.features.version),
        "features_out_of_date": counted(out_of_date(job.context, scoring.days).values()),
    }


if __name__ == "__main__":
    main("score", run)
