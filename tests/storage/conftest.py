"""Files of both kinds: of a folder, and of a bucket."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from muster.storage.files import Files


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The address of an S3-compatible server on a free port."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_files(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Files below a prefix of a bucket of the test's own."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"b{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=bucket)
    return Files(f"s3://{bucket}/lake/made")


@pytest.fixture(params=["folder", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Files of each kind."""
    if request.param == "folder":
        return Files(str(tmp_path / "root"))
    made: Files = request.getfixturevalue("s3_files")
    return made
