"""The line of the pack's tests, once with a registered model a group and once with a pack, on the same data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow as pa
import pytest

from muster.per_group.promote import promote
from muster.promotion.approval import Approval
from muster.settings import Settings
from muster.workload.windows import partition_windows
from tests.promotion.conftest import Line, line, served

__all__ = ["Line", "line", "served"]


def over(tasks: int, work: Callable[[int], pa.Table], schema: pa.Schema) -> pa.Table:
    """Run the work here, carried over as Spark would carry it."""
    carried = cloudpickle.loads(cloudpickle.dumps(work))
    return pa.concat_tables([carried(number).cast(schema) for number in range(tasks)] or [schema.empty_table()])


def promoted(line: Line, partition: str, who: str = "test", approval: Approval | None = None) -> dict[str, Any]:
    """Promote a partition group by group."""
    return promote(line.workload, line.store, partition_windows(line.workload, partition), who, approval, over)


def week(
    line: Line, partition: str, verdicts: dict[str, str], slope: Any, against: dict[str, str] | None = None
) -> str:
    """Train and judge a partition by hand; `against` has the version that was champion to each group."""
    run = line.train(partition, dict.fromkeys(verdicts, slope))
    line.decide(partition, run, verdicts, against)
    return run


@pytest.fixture
def grouped(served: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A workload with a registered model a group, a real MLflow server, and a folder for temporary files of its own."""
    served.declared |= {"registry": "per_group", "gate": {"baseline": "record", "max_changed": 1.0}}
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return served


def left_behind(line: Line) -> list[Path]:
    """Return the files with models that stand in the folder for temporary files."""
    return [path for path in (line.root / "tmp").rglob("*") if path.is_file()]


@pytest.fixture
def stack_home(stack_settings: Settings) -> Path:
    """The home of the services, the MLflow server's artifacts among it."""
    return stack_settings.home
