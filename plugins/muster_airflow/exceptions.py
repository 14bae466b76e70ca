"""What can go wrong between Airflow and a job."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from muster.errors import bounded


class NoPartition(AirflowFailException):
    """Raised when a run has no partition key, so nobody can say which dates it is about."""

    def __init__(self, dag_id: str) -> None:
        super().__init__(
            f"this run of '{dag_id}' has no partition key; trigger it with one, the first day of a slice: 2013-06-03"
        )


class ConnectionRefused(AirflowFailException):
    """Raised when an Airflow connection cannot tell where Spark is."""

    def __init__(self, conn_id: str, problem: str, rule: str) -> None:
        super().__init__(f"Airflow connection '{conn_id}' {problem}; {rule}")


class JobFailed(AirflowException):
    """Raised when a job's process ends badly: its own `error:` line is the message."""

    def __init__(self, stage: str, code: int, lines: list[str]) -> None:
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
        last = [line.strip() for line in lines if line.strip()]
        super().__init__(
            errors[-1] if errors else f"the {stage} job {ended}: {last[-1] if last else 'it wrote nothing'}"
        )


class ResultMissing(AirflowException):
    """Raised when a job ends well but leaves no result."""

    def __init__(self, stage: str, path: str) -> None:
        super().__init__(f"the {stage} job ended with code 0 but wrote no result to '{path}'; look into its log above")


class StillAtWork(AirflowException):
    """Raised when an earlier attempt's processes outlive even SIGKILL."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(f"an earlier attempt's processes would not end: {bounded(pids)}; end them, then retry")
