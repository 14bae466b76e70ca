"""Where databases are: the environment, then `.env`, and no secret in what is printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from muster.settings import Settings, connections
from muster.settings.connections import adopt_store_variables, connection_url, connection_variables, variable
from muster_local.environment import environment

NAME = "MUSTER_CONNECTION_ORDERS_DB"


def test_an_address_is_of_the_environment_or_of_the_projects_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PROJECT", tmp_path)
    monkeypatch.delenv(NAME, raising=False)
    assert (variable("Orders_db"), connection_url("orders_db")) == (NAME, None)
    (tmp_path / ".env").write_text(f"{NAME}=sqlite:///in-file\nMUSTER_CONNECTION_EMPTY=\nMUSTER_HOME=x\n")
    assert connection_variables() == {NAME: "sqlite:///in-file"}
    monkeypatch.setenv(NAME, " ")  # an empty one is as none
    assert connection_variables() == {NAME: "sqlite:///in-file"}
    monkeypatch.setenv(NAME, "sqlite:///s3cret")
    address = connection_url("orders_db")
    assert address is not None
    assert (address.get_secret_value(), "s3cret" in repr(address) + str(address)) == ("sqlite:///s3cret", False)
    monkeypatch.delenv(NAME)
    assert environment(Settings(home=tmp_path))[NAME] == "sqlite:///in-file"  # as the services of ./muster up have it


def test_what_the_projects_file_says_of_object_stores_is_this_processs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PROJECT", tmp_path)
    for name, value in {"AWS_REGION": "of-the-environment", "AWS_ENDPOINT_URL": "", "AWS_ACCESS_KEY_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    lines = ["AWS_REGION=a", "AWS_ENDPOINT_URL=http://b", "AWS_ACCESS_KEY_ID=c", "AWS_SESSION_TOKEN=", "PATH=/x"]
    (tmp_path / ".env").write_text("\n".join(lines))
    before = dict(os.environ)
    adopt_store_variables()
    changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
    assert changed == {"AWS_ENDPOINT_URL": "http://b", "AWS_ACCESS_KEY_ID": "c"}
