"""JSON, an object a line: the same values whether Arrow reads a block or it is read line by line."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from muster.ingest.formats import csv_rows, json_lines
from muster.ingest.sources.files import BadFile
from tests.ingest.formats.made import checked, made, put

AT = '"at": "2024-01-15T06:00:00"'
KEYS = f'"place": "a", "line": 1, {AT}'
GOOD = f"{{{KEYS}}}"
LINES = [
    f'{{{KEYS}, "warm": 1.5, "open": true, "built": "2001-02-03", "note": "\\u0000\\ud83d\\udeeb"}}',
    f'{{"place": "", "line": -0, {AT}, "warm": 123456789012345678901234567890, "note": null}}',
    f'{{"line": "7", "place": "b", {AT}, "warm": "-.5", "open": "yes", "built": null}}',
    f'{{"place": "c", "line": 9223372036854775808, {AT}}}',
    f'{{"place": "d", "line": 7.0, {AT}}}',
    f'{{"place": "e", "line": "007", {AT}}}',
    f'{{"place": 7, "line": 1, {AT}}}',
    f'{{"place": "f", "line": true, {AT}}}',
    f'{{"place": null, "line": 1, {AT}}}',
    f'{{"line": 1, {AT}}}',
    '{"place": "g", "line": 1, "at": 1705300000}',
    f'{{{KEYS}, "warm": 1e400}}',
    f'{{{KEYS}, "warm": NaN}}',
    f'{{{KEYS}, "open": 1}}',
    f'{{{KEYS}, "note": ["x"]}}',
    f'{{{KEYS}, "note": {{"x": 1}}}}',
    f'{{{KEYS}, "note": "\\ud800"}}',
    f'{{{KEYS}, "line": 2}}',
    f"{GOOD}{GOOD}",
    f"{GOOD} null",
    "null",
    "[1]",
    "{'place': 1}",
    "[" * 100_000,
    "{",
]
REASONS = [
    "line: not of type int",
    "line: not of type int",
    "line: a key with leading zeros; declare it as string",
    "place: not of type string",
    "line: not of type int",
    "place: missing",
    "place: missing",
    "at: not of type timestamp",
    "warm: not of type float",
    "warm: not of type float",
    "open: not of type bool",
    "note: not of type string",
    "note: not of type string",
    "row: no JSON object",
    "row: a key is there twice",
    *["row: no JSON object"] * 7,
]


def test_values_are_those_that_are_declared_and_others_are_refused_by_row(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-15.jsonl", "\n".join(LINES) + "\n")
    good, refused = checked(made(tmp_path, "{date}.jsonl"))
    at = datetime(2024, 1, 15, 6, tzinfo=UTC)
    nothing = dict.fromkeys(("warm", "open", "built", "note"))
    assert good == [
        {"place": "a", "line": 1, "at": at, "warm": 1.5, "open": True, "built": date(2001, 2, 3), "note": "\0🛫"},
        {**nothing, "place": "", "line": 0, "at": at, "warm": 1.2345678901234568e29},
        {**nothing, "place": "b", "line": 7, "at": at, "warm": -0.5, "open": True},
    ]
    assert sorted(reason for _, reason, _ in refused) == sorted(REASONS)
    assert {file for file, _, _ in refused} == {"2024-01-15.jsonl"}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:70])
def test_arrow_reads_a_line_to_the_same_values_or_leaves_it(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = made(tmp_path, "{date}.jsonl")
    put(tmp_path, "2024-01-15.jsonl", f"{line}\n")
    by_arrow, refused = checked(context)
    monkeypatch.setattr(json_lines, "_as_declared", lambda workload, content: None)
    by_line, refused_by_line = checked(context)
    assert (by_arrow, [reason for _, reason, _ in refused]) == (by_line, [reason for _, reason, _ in refused_by_line])


def test_blocks_marks_line_ends_and_blank_lines_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"\ufeff{GOOD}\r\n\r\n  {GOOD.replace('06', '07')}  \n\n{GOOD.replace('06', '08')}"
    put(tmp_path, "2024-01-15.ndjson.gz", gzip.compress(text.encode()))
    for size in (1, 7, 64, 2**20):
        monkeypatch.setattr(csv_rows, "BLOCK_BYTES", size)
        good, refused = checked(made(tmp_path, "{date}.ndjson.gz"))
        assert ([row["at"].hour for row in good], refused) == ([6, 7, 8], [])


def test_lines_without_any_object_are_a_day_without_rows(tmp_path: Path) -> None:
    for name, content in (("{date}.json", b"\n"), ("{date}.json.gz", gzip.compress(b""))):
        put(tmp_path, name.format(date="2024-01-15"), content)
        assert checked(made(tmp_path, name)) == ([], [])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", r"is empty \(0 bytes\)"),
        (
            f'{GOOD}\n{{{KEYS}, "more": null}}\n',
            "in line 2 than made declares: has the undeclared more",
        ),
        (f"{GOOD}\n\n{GOOD.replace('line', 'Line ')}\n", "in line 3 .*: is 'Line ', declared is 'line'; have"),
        (f"{GOOD}\n{GOOD[:20]}", "is cut off within its last row: '"),
        (f"{GOOD}\n".encode() + b'{"place": "\xfc"}\n', r"not UTF-8 in line 2 \(byte 0xfc\)"),
        (f"{GOOD}\n".encode("utf-16"), "is UTF-16 or UTF-32"),
        (f"[\n  {GOOD},\n  {GOOD}\n]\n", "is one JSON array; write an object a line"),
        (f'{{"place": "{"x" * 5_000_000}', "has a row of more than 4 MiB"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, content: str | bytes, problem: str) -> None:
    put(tmp_path, "2024-01-15.jsonl", content)
    with pytest.raises(BadFile, match=f"2024-01-15.jsonl' .*{problem}"):
        checked(made(tmp_path, "{date}.jsonl"))


def test_other_keys_may_be_left_out_but_not_what_is_nearly_a_declared_one(tmp_path: Path) -> None:
    context = made(tmp_path, "{date}.jsonl", extra="ignore")
    lines = [f'{{{KEYS}, "more": {{"warm": [1]}}, "MORE": 2}}', f'{{{KEYS}, "more": "{"[" * 10_000}"}}']
    put(tmp_path, "2024-01-15.jsonl", "\n".join(lines))
    assert [len(rows) for rows in checked(context)] == [1, 1]  # the second repeats the first
    put(tmp_path, "2024-01-15.jsonl", f'{GOOD}\n{{{KEYS}, "Warm": 3}}\n')
    with pytest.raises(BadFile, match=r"has other columns in line 2 .*: is 'Warm', declared is 'warm'"):
        checked(context)
