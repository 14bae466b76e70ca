"""A file that one writes and others remove: no deletion comes too late for it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from muster.storage import staying
from muster.storage.files import Files
from muster.storage.staying import GOING, remove_if, write_to_stay

DELETE = Files.delete


def in_thread(files: Files) -> threading.Thread:
    thread = threading.Thread(target=lambda: remove_if(files, "shard", lambda _: True), daemon=True)
    thread.start()
    return thread


def test_a_writer_waits_for_the_last_of_two_who_remove_its_file(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has gone, with its mark; the second's deletion is carried out once the file is written again."""
    files.put("shard", b"bytes")
    asked, waited = threading.Event(), threading.Event()

    def late(self: Files, path: str) -> None:
        if path == "shard":
            asked.set()
            assert waited.wait(10)
        DELETE(self, path)

    monkeypatch.setattr(Files, "delete", late)
    second = in_thread(files)
    assert asked.wait(10)
    first = in_thread(files)  # it leaves the file to the second, and takes its own mark away
    first.join(10)
    monkeypatch.setattr(staying.time, "sleep", lambda _: (waited.set(), second.join(10)))
    write_to_stay(files, "shard", b"bytes")
    assert waited.is_set()
    assert files.read("shard") == b"bytes"
    assert not any(GOING in file.path for file in files.listed())


def test_who_sees_that_another_removes_a_file_leaves_it_to_it(files: Files) -> None:
    files.put("shard", b"bytes")
    files.put(f"shard{GOING}/other", b"")
    assert not remove_if(files, "shard", lambda _: True)
    assert {file.path.rpartition("/")[2] for file in files.listed()} == {"shard", "other"}
    files.delete(f"shard{GOING}/other")
    assert remove_if(files, "shard", lambda _: True)
    assert list(files.listed()) == []


def test_a_mark_that_was_left_long_ago_keeps_nobody(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put("shard", b"bytes")
    files.put(f"shard{GOING}/killed", b"")
    monkeypatch.setattr(staying, "AT_MOST", timedelta(0))
    assert remove_if(files, "shard", lambda _: True)
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
