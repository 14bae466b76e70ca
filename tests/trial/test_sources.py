"""`./muster try` on files of other formats: the very verdict that those of csv give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd


def test_parquet_of_several_files_a_day_gives_the_same_trial(home: Any, tmp_path: Path) -> None:
    of_csv = home.tried()
    for file in Path(home.store.uri(home.store.landing)).glob("*.csv.gz"):
        rows = pd.read_csv(file, parse_dates=["at"])
        folder = tmp_path / "lake" / f"date={file.name[:10]}"
        folder.mkdir(parents=True)
        for number in (1, 2):
            rows.iloc[number - 1 :: 2].to_parquet(folder / f"{number}.parquet", index=False)
    source = f'source: {{files: "{tmp_path}/lake/date={{date}}/*.parquet"}}'
    home.declare(yaml=lambda yaml: yaml.replace("landing: deliver", source))
    trial = home.tried()
    assert (trial["decision"], trial["windows"]) == (of_csv["decision"], of_csv["windows"])
    assert trial["source"] == of_csv["source"].replace("28", "56")
    (tmp_path / "lake" / "date=2024-01-20").rename(tmp_path / "lake" / "2024-01-20")
    shown = " ".join(home.run()[1].split())
    assert "2024-01-20; passed over, since a file is named as date=2024-01-08/*.parquet: 2024-01-20" in shown
