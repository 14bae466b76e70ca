"""Review: what a partition's promotion would change, for a human to approve. Starts no Spark session."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from jobs.job import Job, main
from muster.review import review


def run(job: Job) -> dict[str, Any]:
    """Return the review; its plots as PNG files in base64."""
    found = review(job.workload, job.store, job.windows)
    plots = {title: b64encode(png).decode() for title, png in found.plots.items()}
    told = ("verdicts", "needs_approval", "why", "changed", "markdown")
    return {**{name: getattr(found, name) for name in told}, "plots": plots}


if __name__ == "__main__":
    main("review", run)
