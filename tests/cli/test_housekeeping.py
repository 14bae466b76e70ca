"""`./muster housekeeping`: what it prints, in a dry run and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.cli import main
from muster.settings import settings
from tests.housekeeping.conftest import aged
from tests.promotion.conftest import Line
from tests.promotion.history import declare, three_weeks


@pytest.mark.slow
def test_a_dry_run_then_the_sweep_tell_files_and_bytes_by_kind(
    tmp_path: Path, mlflow_settings: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(tmp_path)
    file = declare(line, tmp_path / "workloads")
    file.write_text(file.read_text() + "\nhousekeeping: {keep: 1}\n")
    for name, value in {"STORE": tmp_path, "WORKLOADS": file.parent}.items():
        monkeypatch.setenv(f"MUSTER_{name}", str(value))
    settings.cache_clear()
    three_weeks(line)
    aged(tmp_path)

    def told(*options: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["housekeeping", line.name, *options])
        assert not ended.value.code
        return capsys.readouterr().out

    would = told("--dry-run")
    assert "would be removed" in would.splitlines()[0]
    [packs] = [text for text in would.splitlines() if "champion packs" in text]
    assert "1 file, " in packs
    assert "2 files, " in packs
    assert would.rstrip().endswith("would be removed; nothing was changed")
    did = told()
    assert did.splitlines()[1:-1] == would.splitlines()[1:-1]
    assert all(text.rstrip().endswith("-") or "  -  " in text or "file" in text for text in did.splitlines()[1:-1])
