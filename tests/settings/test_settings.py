"""Settings from the environment."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from pydantic import ValidationError

from muster.settings import Settings, WrongSetting, command, rollback_command, settings
from muster_local import PROJECT


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("MUSTER_")]:
        monkeypatch.delenv(name)


def plain() -> Settings:
    return Settings(_env_file=None)


def test_everything_is_below_the_project_unless_told() -> None:
    assert plain().store_root == str(PROJECT / ".muster" / "store")
    assert plain().workloads == PROJECT / "include" / "workloads"


def test_a_command_is_that_of_the_checkout_or_of_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("muster.settings.PROJECT", PROJECT)
    assert command("show flights ledger") == "./muster show flights ledger"
    monkeypatch.setattr("muster.settings.PROJECT", tmp_path)
    assert command("show flights ledger") == "muster show flights ledger"


def test_a_group_that_is_pasted_into_a_shell_is_one_word_whatever_it_holds() -> None:
    for group in ("A,X", "so'uth", "x';touch /tmp/p;'", "$(id) `id` \\", "--yes"):
        words = shlex.split(rollback_command("flights", group, "2"))
        assert words[1:] == ["rollback", "flights", "--group", group, "--to", "2"]


def test_home_moves_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path))
    assert plain().store_root == str(tmp_path / "store")


def test_store_may_be_elsewhere_and_has_no_trailing_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_STORE", "s3://lake/muster/")
    assert plain().store_root == "s3://lake/muster"


@pytest.mark.parametrize("letter", ["#", "?", "%", " ", "[", "ü"])
def test_a_store_is_not_below_what_its_address_would_not_be_read_as(
    monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    monkeypatch.setenv("MUSTER_STORE", f"s3://lake/a{letter}b")
    with pytest.raises(ValidationError, match="which a URI may not have as it is; call the folder otherwise"):
        plain()
    monkeypatch.setenv("MUSTER_STORE", f"/lake/a{letter}b")
    assert plain().store_root == f"/lake/a{letter}b"


def test_a_folder_that_is_given_from_here_is_the_same_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSTER_STORE", "lake/muster")
    assert plain().store_root == plain().environment()["MUSTER_STORE"] == str(tmp_path / "lake" / "muster")


def test_addresses_follow_host_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOST": "127.0.0.9", "AIRFLOW_PORT": "1", "MLFLOW_PORT": "2", "SPARK_PORT": "3"}.items():
        monkeypatch.setenv(f"MUSTER_{name}", value)
    settings = plain()
    addresses = (settings.airflow_url, settings.mlflow_tracking_uri, settings.spark_remote)
    assert addresses == ("http://127.0.0.9:1", "http://127.0.0.9:2", "sc://127.0.0.9:3")


def test_another_mlflow_server_is_used_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_MLFLOW_URI", "https://mlflow.example")
    assert plain().mlflow_tracking_uri == "https://mlflow.example"


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MUSTER_SPARK_CORES=5\nMUSTER_MLFLOW_PORT=6001\nOTHER=1\n")
    monkeypatch.setenv("MUSTER_SPARK_CORES", "7")
    settings = Settings(_env_file=tmp_path / ".env")
    assert (settings.spark_cores, settings.mlflow_port) == (7, 6001)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW_PORT", "0"),
        ("MLFLOW_PORT", "70000"),
        ("SPARK_MEMORY", "3 GB"),
        ("BACKEND", "yarn"),
        ("SPARK_CORES", "x"),
    ],
)
def test_value_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MUSTER_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        plain()


def test_an_empty_value_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"MUSTER_{name.upper()}", " " if name == "host" else "")
    assert plain() == Settings.model_construct()


def test_each_wrong_value_is_a_line_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_SPARK_CORES", "x")
    monkeypatch.setenv("MUSTER_MLFLOW_BUDGET", "7")
    monkeypatch.setenv("MUSTER_MLFLOW_WAITING", "{patience")
    settings.cache_clear()
    with pytest.raises(WrongSetting) as wrong:
        settings()
    lines = str(wrong.value).splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        "MUSTER_SPARK_CORES is 'x'",
        "MUSTER_MLFLOW_BUDGET is '7'",
        "MUSTER_MLFLOW_WAITING is '{patience'",
    ]
    assert lines[-1] == "set it right in the environment or in .env, or leave it out"
