"""Where things are on this machine: read from the environment (`MUSTER_*`) and from `.env`."""

from __future__ import annotations

import json
import os
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from muster.errors import WrongArgument
from muster.settings.limits import CallRates, Waiting
from muster.settings.places import folder_problem

PROJECT = Path(os.environ.get("MUSTER_PROJECT") or Path.cwd())
"""Whose `.env`, `.muster` and `include/workloads` are the defaults: `./muster` names its checkout."""


def command(arguments: str) -> str:
    """Return what to type for a command of Muster: `./muster` in a checkout, elsewhere the `muster` of the wheel."""
    launcher = "./muster" if (PROJECT / "muster").is_file() else "muster"
    return f"{launcher} {arguments}"


def quoted(text: str) -> str:
    """Return a text of the data as one word of a shell's command, quoted in any case: what is pasted runs no more."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def rollback_command(workload: str, group: str | None, to: str | None = None) -> str:
    """Return what to type to roll a workload back, or one group of it, to a version or to the one before."""
    one = "" if group is None else f" --group {quoted(group)}"
    return command(f"rollback {workload}{one}" + ("" if to is None else f" --to {to}"))


class WrongSetting(WrongArgument):
    """Raised when variables of the environment, or lines of `.env`, cannot be what they say."""

    def __init__(self, error: ValidationError) -> None:
        problems = [
            f"MUSTER_{'.'.join(map(str, problem['loc'])).upper()} is '{problem['input']}': {problem['msg']}"
            for problem in error.errors()
        ]
        super().__init__("\n".join(problems) + "\nset it right in the environment or in .env, or leave it out")


class Settings(BaseSettings):
    """One value for each thing that differs between machines.

    A value is looked for in the process's environment (`MUSTER_HOME=...`), then in the file `.env` of the
    project, then here. An empty one is as none: the value is the one that stands here.
    """

    model_config = SettingsConfigDict(env_prefix="MUSTER_", env_file=PROJECT / ".env", extra="ignore", frozen=True)

    home: Path = Field(
        default=PROJECT / ".muster", description="Folder of everything that Muster writes on this machine."
    )
    store: str = Field(
        default="",
        description="Root of tables, landing files and packs: a folder, s3://, abfss:// or gs://. Default: HOME/store.",
    )
    workloads: Path = Field(
        default=PROJECT / "include" / "workloads", description="Folder of the workloads' YAML files."
    )
    backend: Literal["connect", "submit"] = Field(default="connect", description="Which backend runs the Spark jobs.")
    host: str = Field(
        default="127.0.0.1",
        description="Address that Airflow and MLflow listen on; both ask for a password where it is not loopback.",
    )
    spark_host: str = Field(
        default="",
        description="Address that Spark listens on, which has no password. Default: HOST where that is loopback, "
        "else 127.0.0.1.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Names by which Airflow may be asked, with commas: others are refused. ./muster up adds this "
        "machine's own, for MLflow and Spark's page too; without it any name may be one.",
    )
    airflow_port: int = Field(default=8080, ge=1, le=65535)
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    spark_port: int = Field(default=15002, ge=1, le=65535, description="The Spark Connect server.")
    spark_ui_port: int = Field(default=4040, ge=1, le=65535)
    spark_cores: int = Field(default=2, ge=1, description="Cores of the local Spark server.")
    spark_memory: str = Field(default="3g", pattern=r"^\d+[gm]$", description="Heap of the local Spark server.")
    task_memory: str = Field(
        default="",
        pattern=r"^(\d+[gm])?$",
        description="Memory of one Spark task's Python, by which training is planned. Default: what Spark says of its "
        "executors, or what is free on this machine, by its cores.",
    )
    mlflow_uri: str = Field(default="", description="MLflow tracking server. Default: the local one.")

    mlflow_budget: Annotated[CallRates, NoDecode] = Field(
        default=CallRates(), description="MLflow calls a second, by class of call: JSON."
    )
    mlflow_share: float = Field(default=1, gt=0, le=1, description="Share of the budget that this process may use.")
    mlflow_waiting: Annotated[Waiting, NoDecode] = Field(
        default=Waiting(), description="How long a process waits for MLflow: JSON."
    )

    model_schema: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_]+\.[A-Za-z0-9_]+)?$",
        description="`catalog.schema` of groups' registered models, on Unity Catalog; empty elsewhere.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not (isinstance(value, str) and not value.strip())}

    @field_validator("mlflow_budget", "mlflow_waiting", mode="before")
    @classmethod
    def _read_json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("store")
    @classmethod
    def _absolute(cls, store: str) -> str:
        """Make a folder's path absolute: every process reads it as the one that was given it first."""
        if problem := folder_problem(store):
            raise ValueError(problem)
        return str(Path(store).expanduser().absolute()) if store and "://" not in store else store

    def environment(self) -> dict[str, str]:
        """Return the variables from which another process reads these same settings."""
        values = {**self.model_dump(), "home": self.home.resolve()}
        texts = {name: json.dumps(value) if isinstance(value, dict) else str(value) for name, value in values.items()}
        return {"MUSTER_PROJECT": str(PROJECT), **{f"MUSTER_{name.upper()}": text for name, text in texts.items()}}

    @property
    def store_root(self) -> str:
        """The store's root as a path or URI without a trailing slash."""
        return (self.store or str(self.home.resolve() / "store")).rstrip("/")

    @property
    def mlflow_tracking_uri(self) -> str:
        """The MLflow server that runs and packs go to."""
        return self.mlflow_uri or f"http://{self.host}:{self.mlflow_port}"

    @property
    def host_names(self) -> list[str]:
        """The names of `allowed_hosts`."""
        return [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach Airflow and MLflow."""
        return not _loopback(self.host)

    @property
    def spark_exposed(self) -> bool:
        """Whether other machines can reach Spark: who can, can run anything as this user."""
        return not _loopback(self.spark_address)

    @property
    def spark_address(self) -> str:
        """The address that Spark listens on."""
        return self.spark_host or ("127.0.0.1" if self.exposed else self.host)

    @property
    def spark_remote(self) -> str:
        """The local Spark Connect server's address."""
        return f"sc://{self.spark_address}:{self.spark_port}"

    @property
    def airflow_url(self) -> str:
        """The local Airflow's address."""
        return f"http://{self.host}:{self.airflow_port}"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        WrongSetting: with each value that cannot be.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise WrongSetting(error) from None
