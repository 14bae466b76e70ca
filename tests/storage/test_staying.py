"""A file that one writes and others remove: no deletion comes too late for it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from muster.storage import staying
from muster.storage.files import Files
from muster.storage.staying import GOING, remove_if, write_to_stay

DELETE = Files.delete


def test_a_writer_waits_for_the_last_of_two_who_remove_its_file(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has gone, with its mark; the second's deletion is carried out once the file is written again."""
    files.put("shard", b"bytes")
    asked, waited = threading.Event(), threading.Event()

    def late(self: Files, path: str) -> None:
        if path == "shard" and threading.current_thread() is second:
            asked.set()
            assert waited.wait(10)
        DELETE(self, path)

    monkeypatch.setattr(Files, "delete", late)
    second = threading.Thread(target=lambda: remove_if(files, "shard", lambda _: True), daemon=True)
    second.start()
    assert asked.wait(10)
    assert remove_if(files, "shard", lambda _: True)
    monkeypatch.setattr(staying.time, "sleep", lambda _: (waited.set(), second.join(10)))
    write_to_stay(files, "shard", b"bytes")
    assert waited.is_set()
    assert files.read("shard") == b"bytes"
    assert not any(GOING in file.path for file in files.listed())


def test_who_was_killed_while_it_removed_a_file_keeps_nobody_from_removing_it(files: Files) -> None:
    files.put("shard", b"bytes")
    files.put(f"shard{GOING}/killed", b"")
    assert remove_if(files, "shard", lambda _: True)
    assert files.about("shard") is None
    assert not remove_if(files, "shard", lambda _: True)  # it is gone
    assert [file.path.rpartition("/")[2] for file in files.listed()] == ["killed"]


def test_a_mark_that_was_left_long_ago_keeps_nobody(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put("shard", b"bytes")
    files.put(f"shard{GOING}/killed", b"")
    monkeypatch.setattr(staying, "AT_MOST", timedelta(0))
    write_to_stay(files, "shard", b"anew")
    assert files.read("shard") == b"anew"


def test_a_store_that_does_not_say_whether_it_has_deleted_keeps_the_mark_and_a_folder_does_not(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Files, path: str) -> None:
        if path == "shard":
            raise TimeoutError
        DELETE(self, path)

    files.put("shard", b"bytes")
    monkeypatch.setattr(Files, "delete", lost)
    with pytest.raises(TimeoutError):
        remove_if(files, "shard", lambda _: True)
    assert any(GOING in file.path for file in files.listed()) is not files.is_folder
