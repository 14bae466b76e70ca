"""The runbook's way back to an earlier champion: run as it stands in docs/operations.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from muster.pack.alias import journal
from muster.pack.registry import current
from muster.promote import promote
from muster.settings import PROJECT
from muster.workload.windows import partition_windows


@pytest.mark.slow
def test_runbooks_rollback_moves_the_alias_back_and_says_who_did_it(served: Any, tmp_path: Path) -> None:
    for partition, against in ((served.first, None), (served.second, "1")):
        run = served.train(partition, {"AA,EWR": 1.0, "UA,JFK": 2.0})
        served.decide(partition, run, dict.fromkeys(("AA,EWR", "UA,JFK"), "promote"), against)
        promote(served.workload, served.store, partition_windows(served.workload, partition), "gate")
    folder = tmp_path / "workloads"
    folder.mkdir()
    (folder / f"{served.name}.yaml").write_text(
        yaml.safe_dump(served.workload.model_dump(mode="json", exclude={"name"}))
    )
    (folder / f"{served.name}.py").write_text("def features(rows): ...")

    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    [program] = re.findall(r"<<'PY'\n(.*?)PY\n", page, re.DOTALL)
    env = os.environ | {"MUSTER_WORKLOADS": str(folder), "MUSTER_STORE": str(served.root)}
    command = [sys.executable, "-", served.name, "1", "the one on call"]
    ended = subprocess.run(command, input=program, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    champion, last = current(served.workload, served.store), journal(served.store)[-1]
    assert champion is not None
    assert champion.version == "1"
    assert (last["cause"], last["who"], last["from_version"]) == ("rollback", "the one on call", "2")
