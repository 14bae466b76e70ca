"""Files below a root, on a folder and on an S3-compatible server: whole or not there, and none outside of it."""

from __future__ import annotations

import errno
import io
import os
import threading
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest
from obstore.exceptions import GenericError

from muster.storage import files as module
from muster.storage.files import Files, file_at, in_bucket
from muster.storage.object_store import NotAvailable, of_the_system, redacted
from muster.storage.remote_file import remote_file
from muster_jobs.failures import known_failure

MIB = 2**20


def paths(files: Files, below: str = "") -> list[str]:
    return sorted(file.path for file in files.listed(below))


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "a file"])
def test_what_is_put_is_read_whole_and_puts_over_what_was_there(files: Files, as_file: bool) -> None:
    def given(data: bytes) -> bytes | IO[bytes]:
        return io.BytesIO(data) if as_file else data

    files.put("a/b/c.bin", given(b"the first, longer one"))
    assert files.read("a/b/c.bin") == b"the first, longer one"
    files.put("a/b/c.bin", given(b"second"))
    assert files.read("a/b/c.bin") == b"second"
    files.put("a/empty", given(b""))
    assert files.read("a/empty") == b""
    assert paths(files) == ["a/b/c.bin", "a/empty"]


def test_a_file_of_many_parts_is_written_whole(files: Files) -> None:
    data = os.urandom(12 * MIB + 7)
    files.put("large.bin", io.BytesIO(data))
    assert files.read("large.bin") == data
    files.put("large.bin", data[:-1])
    assert files.read("large.bin") == data[:-1]


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "a file"])
def test_what_is_created_is_written_only_where_there_is_none(files: Files, as_file: bool) -> None:
    def given(data: bytes) -> bytes | IO[bytes]:
        return io.BytesIO(data) if as_file else data

    assert files.create("a/one", given(b"mine"))
    assert not files.create("a/one", given(b"another's"))
    assert files.read("a/one") == b"mine"
    files.delete("a/one")
    assert files.create("a/one", given(b"another's"))
    assert paths(files) == ["a/one"]


def created_at_once(files: Files, writers: int = 16) -> None:
    """Check that of many who create a file at once one is told so, and that its content is there."""
    together = threading.Barrier(writers)

    def create(number: int) -> bool:
        together.wait(30)
        return files.create("a/one", b"%d" % number * 1000)

    with ThreadPoolExecutor(writers) as pool:
        told = list(pool.map(create, range(writers)))
    assert told.count(True) == 1
    assert files.read("a/one") == b"%d" % told.index(True) * 1000
    assert paths(files) == ["a/one"]


def test_of_sixteen_who_create_a_file_at_once_one_is_told_so_and_has_written_it(files: Files) -> None:
    created_at_once(files)


def test_where_there_are_no_hard_links_one_is_told_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no hard links")

    monkeypatch.setattr(os, "link", unsupported)
    files = Files(str(tmp_path))
    created_at_once(files)
    assert not files.create("a/one", b"late")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["one"]


def test_who_reads_while_it_is_put_over_sees_one_or_the_other(files: Files) -> None:
    contents = [bytes([number]) * 300_000 for number in range(4)]
    files.put("a", contents[0])
    stop = threading.Event()

    def put() -> None:
        for number in range(20):
            files.put("a", contents[number % 4])
        stop.set()

    writer = threading.Thread(target=put)
    writer.start()
    seen = []
    while not stop.is_set():
        seen.append(files.read("a"))
    writer.join()
    assert seen
    assert not [data for data in seen if data not in contents]


def test_pieces_of_a_file_are_read(files: Files) -> None:
    data = bytes(range(256)) * 40
    files.put("a", data)
    assert files.read("a", 300) == data[300:]
    assert files.read("a", 300, 7) == data[300:307]
    assert files.read("a", 300, 0) == b""
    assert files.read("a", len(data) - 5, 50) == data[-5:]
    wanted = [(9000, 100), (0, 10), (10, 1), (5000, 3)]
    assert files.read_ranges("a", wanted) == [data[offset : offset + length] for offset, length in wanted]
    assert files.read_ranges("a", []) == []


def test_a_file_that_is_not_there_is_told(files: Files) -> None:
    files.put("other", b"x")
    for read in (lambda: files.read("a/none"), lambda: files.read("a/none", 1, 2)):
        with pytest.raises(FileNotFoundError):
            read()
    with pytest.raises(FileNotFoundError):
        files.read_ranges("a/none", [(0, 1), (2, 3)])
    assert files.about("a/none") is None
    files.delete("a/none")
    assert list(files.listed("a")) == []


def test_a_listing_has_all_files_below_a_folder_and_nothing_of_its_neighbours(files: Files) -> None:
    for path in ("a/1", "a/b/22", "a/b/c/333", "ab/4", "5"):
        files.put(path, path.encode())
    assert paths(files) == ["5", "a/1", "a/b/22", "a/b/c/333", "ab/4"]
    assert paths(files, "a") == ["a/1", "a/b/22", "a/b/c/333"]
    assert paths(files, "a/b") == ["a/b/22", "a/b/c/333"]
    assert paths(files, "none") == []
    [listed] = files.listed("ab")
    assert listed == files.about("ab/4")
    assert listed.size == 4
    assert abs(listed.modified - datetime.now(UTC)) < timedelta(minutes=5)
    files.delete("a/b/22")
    assert paths(files, "a") == ["a/1", "a/b/c/333"]


def test_names_of_any_letters_come_back_as_they_are(files: Files) -> None:
    names = ["a b/c,d.txt", "é/ü%20.txt", "x=1/date=2024-01-01.csv.gz", "q?/#1"]
    for name in names:
        files.put(name, name.encode())
    assert paths(files) == sorted(names)
    assert [files.read(name).decode() for name in names] == names


OUTSIDE = ["../secret", "a/../../secret", "/etc/passwd", "", ".", "..", "a\0b"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_out_of_the_root_is_none_of_a_file(files: Files, path: str) -> None:
    files.put("a/inside", b"x")
    beside, name = file_at(files.root)
    assert name == "made" if "://" in files.root else "root"
    beside.put("secret", b"s")
    with pytest.raises(FileNotFoundError):
        files.read(path)
    with pytest.raises(FileNotFoundError):
        files.read_ranges(path, [(0, 1)])
    for write in (files.put, files.create):
        with pytest.raises(FileNotFoundError):
            write(path, b"overwritten")
    assert files.about(path) is None
    files.delete(path)
    assert beside.read("secret") == b"s"
    assert paths(files) == ["a/inside"]


def test_files_travel_and_are_equal_by_their_root(files: Files) -> None:
    import pickle

    files.put("a", b"x")
    assert pickle.loads(pickle.dumps(files)) == files
    assert pickle.loads(pickle.dumps(files)).read("a") == b"x"


def test_a_listing_has_no_half_written_part_and_a_broken_write_leaves_none(tmp_path: Path) -> None:
    files = Files(str(tmp_path))

    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.append(sorted(tmp_path.rglob("*")) != [] and paths(files) == [])
            raise OSError("the disk is gone")

    seen: list[bool] = []
    for write in (files.put, files.create):
        with pytest.raises(OSError, match="the disk is gone"):
            write("a/b", Breaking())
    assert seen == [True, True]
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    assert files.about("a/b") is None


def test_a_put_that_breaks_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))
    files.put("a", b"before")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        files.put("a", b"after")
    assert (files.read("a"), paths(files)) == (b"before", ["a"])


def test_a_folder_goes_with_its_last_file(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    files.put("a/b/1", b"x")
    files.put("a/b/2", b"x")
    files.delete("a/b/1")
    assert (tmp_path / "a/b").is_dir()
    files.delete("a/b/2")
    assert not (tmp_path / "a/b").exists()


def test_the_folders_and_files_of_one_folder_of_an_object_store(s3_files: Files) -> None:
    for path in ("a/1", "a/b/2", "a/c/d/3", "e"):
        s3_files.put(path, b"x")
    folders, found = s3_files.folder("a")
    assert (sorted(folders), [file.path for file in found]) == (["a/b", "a/c"], ["a/1"])
    folders, found = s3_files.folder("")
    assert (folders, [file.path for file in found]) == (["a"], ["e"])


def test_each_content_of_an_object_has_a_tag(s3_files: Files) -> None:
    tags = []
    for data in (b"one", b"two", b"one"):
        s3_files.put("a", data)
        about = s3_files.about("a")
        assert about is not None
        tags.append(about.tag)
    assert tags[0] == tags[2] != tags[1]


def test_a_bucket_that_is_not_there_is_no_lack_of_a_file(s3_server: str, s3_files: Files) -> None:
    nowhere = Files(f"s3://b{uuid.uuid4().hex}/lake")
    with pytest.raises(OSError, match="s3://"):
        nowhere.put("a", b"x")
    with pytest.raises(OSError, match="s3://"):
        list(nowhere.listed())


def test_a_server_that_does_not_answer_is_never_read_as_no_file(
    s3_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> object:
            from obstore.exceptions import PermissionDeniedError

            def refuse(*_: object, **__: object) -> None:
                raise PermissionDeniedError("denied\nbacktrace")

            return refuse

    monkeypatch.setattr(module, "object_store", lambda _: Refusing())
    asked = (
        lambda: s3_files.read("a"),
        lambda: s3_files.read("a", 0, 1),
        lambda: s3_files.read_ranges("a", [(0, 1)]),
        lambda: s3_files.put("a", b""),
        lambda: s3_files.create("a", b""),
        lambda: s3_files.about("a"),
        lambda: s3_files.delete("a"),
        lambda: list(s3_files.listed("a")),
        lambda: s3_files.folder("a"),
    )
    for ask in asked:
        with pytest.raises(NotAvailable, match=r"does not give 's3://.*/lake/made/a': PermissionDeniedError: denied$"):
            ask()


@pytest.mark.parametrize("past", [[(50, 5)], [(0, 2), (50, 3)], [(8, 5), (10, 1)]])
def test_what_is_past_the_end_of_a_file_that_was_cut_off_is_nothing(files: Files, past: list[tuple[int, int]]) -> None:
    files.put("a", b"0123456789")
    expected = [b"0123456789"[offset : offset + length] for offset, length in past]
    assert [files.read("a", *piece) for piece in past] == expected
    assert files.read_ranges("a", past) == expected


@pytest.mark.parametrize(
    ("environment", "cure", "lasts"),
    [
        ({}, "there is no such bucket; create it", True),
        ({"AWS_ALLOW_HTTP": "false"}, "set AWS_ALLOW_HTTP=true", True),
        ({"AWS_ALLOW_HTTP": "maybe"}, "has a value that is none of it", True),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "error sending request", False, marks=pytest.mark.slow
        ),
    ],
)
def test_why_a_store_gives_nothing_is_one_line_and_is_tried_again_where_that_may_help(
    s3_files: Files, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], cure: str, lasts: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    root = f"s3://b{uuid.uuid4().hex}/lake"
    asked: list[Callable[[], object]] = [lambda: list(Files(root).listed("a")), lambda: Files(root).read("a")]
    for ask in asked:
        with pytest.raises(NotAvailable, match=rf"does not give '{root}/.*{cure}") as error:
            ask()
        assert "\n" not in str(error.value)
        assert getattr(known_failure(error.value), "retryable", None) is not lasts


def test_a_password_in_the_stores_address_is_in_no_error_and_in_no_cause_of_it(
    s3_server: str, s3_files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.replace("://", "://ann:hid%40den@"))
    root = f"s3://b{uuid.uuid4().hex}/lake"
    files = Files(root)
    asked: list[Callable[[], object]] = [
        lambda: list(files.listed("a")),
        lambda: files.put("a", b""),
        lambda: files.read("a"),
    ]
    for ask in asked:
        with pytest.raises(OSError, match=root) as error:
            ask()
        assert "hid" not in "".join(traceback.format_exception(error.value))
    told = of_the_system(root, GenericError("Error performing GET http://ann:hidden@127.0.0.1:1/b in 3 s - HTTP error"))
    assert "GET http://***@127.0.0.1:1/b in 3 s" in str(told)


@pytest.mark.parametrize(
    "place", ["abfss://container@account.dfs.core.windows.net/a:b@c", "s3://bucket/a:b@c", "a:b@c"]
)
def test_a_place_without_a_password_is_shown_as_it_is(place: str) -> None:
    assert redacted(place) == place


def test_an_object_is_read_as_a_file_and_only_as_the_one_that_was_opened(
    s3_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muster.storage.remote_file.AT_A_TIME", 10)
    s3_files.put("a", bytes(range(100)))
    remote = remote_file(*in_bucket(f"{s3_files.root}/a"))
    assert (remote.size(), remote.read(5)) == (100, bytes(range(5)))
    remote.seek(95)
    assert (remote.read(50), remote.read(1)) == (bytes(range(95, 100)), b"")
    remote.seek(40)
    s3_files.put("a", bytes(100))
    with pytest.raises(NotAvailable, match="Precondition"):
        remote.read(20)
    with pytest.raises(FileNotFoundError):
        remote_file(*in_bucket(f"{s3_files.root}/b"))


def test_a_place_is_a_file_among_those_of_its_folder(tmp_path: Path) -> None:
    assert file_at(str(tmp_path / "a.json")) == (Files(str(tmp_path)), "a.json")
    assert file_at("s3://bucket/results/a.json") == (Files("s3://bucket/results"), "a.json")
    assert file_at("/a.json") == (Files("/"), "a.json")
