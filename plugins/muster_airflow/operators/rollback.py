"""Rolls a workload's champion back: one operator looks, the other moves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from muster_airflow.operators.job import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class DryRun(AirflowSkipException):
    """Raised when a run was to compare only."""

    def __init__(self) -> None:
        super().__init__("dry run: nothing was moved; the task before shows what would be. Trigger again without it")


class CompareOperator(JobOperator):
    """Say what rolling back would change, and whether it can be done; change nothing.

    The difference is the task's XCom, and as a person reads it the XCom `difference`; it is in the log.

    :param workload: path of the workload's YAML file. (templated)
    :param version: the version to go back to; empty for the one before. (templated)
    :param groups: a JSON array of the groups to roll back; empty for the whole pack. (templated)
    """

    template_fields = (*JobOperator.template_fields, "version", "groups")
    operator_extra_links = ()
    partitioned = False
    ui_color = "#f3ead7"

    def __init__(self, *, workload: str, version: str = "", groups: str = "[]", **kwargs: Any) -> None:
        super().__init__(stage="rollback", workload=workload, spark=False, **kwargs)
        self.version = version
        self.groups = groups

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Run the job, and show the groups that it lists."""
        self.job_options = {"to": self.version, "groups": self.groups, **self._mode_options()}
        result = super().carry_out(context, **resumed)
        shown = _shown(Path(self.workload).stem, result)
        self.log.info("%s", shown)
        context["ti"].xcom_push("difference", shown)
        return result

    def _mode_options(self) -> dict[str, str]:
        return {"dry_run": "true"}


class RollbackOperator(CompareOperator):
    """Roll back what a `CompareOperator` has shown, unless the champion was moved since.

    :param against: the version that was champion then. (templated)
    :param who: the human who does it. (templated)
    :param why: why, for the journal. (templated)
    :param dry_run: `true` skips the task. (templated)
    """

    template_fields = (*CompareOperator.template_fields, "against", "who", "why", "dry_run")
    ui_color = "#f6d9d5"

    def __init__(self, *, against: str, who: str, why: str, dry_run: str = "false", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.against = against
        self.who = who
        self.why = why
        self.dry_run = dry_run

    def carry_out(self, context: Context, **resumed: Any) -> dict[str, Any]:
        """Move the champion, unless this is a dry run."""
        if self.dry_run == "true":
            raise DryRun
        return super().carry_out(context, **resumed)

    def _mode_options(self) -> dict[str, str]:
        return {"against": self.against, "who": self.who, "why": self.why}


def _shown(workload: str, result: Mapping[str, Any]) -> str:
    """Return what the command line shows of a difference, as text."""
    from muster.promotion.difference_text import view  # not while DAGs are parsed

    text = io.StringIO()
    view(workload, result, text)
    return text.getvalue()
