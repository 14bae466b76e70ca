"""How this process signs in to MLflow: as its environment says, else with the local server's password."""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import NamedTuple

from muster.settings import Settings

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""The variables by which MLflow's client signs in."""


class Login(NamedTuple):
    """How to sign in, and the file where people find the password."""

    user: str
    password: str
    file: Path


def mlflow_login(settings: Settings) -> Login | None:
    """Return the login of the local MLflow server; None where it needs none, or another server is used."""
    file = mlflow_file(settings)
    if not settings.exposed or settings.mlflow_uri or not file.exists():
        return None
    config = configparser.ConfigParser()
    config.read(file, encoding="utf-8")
    return Login(config["mlflow"]["admin_username"], config["mlflow"]["admin_password"], file)


def sign_in(settings: Settings) -> None:
    """Let this process's MLflow client sign in to the local server, unless its environment says how already.

    By its environment: MLflow's client knows no other way that is not a file in the user's own home.
    """
    login = None if any(name in os.environ for name in CREDENTIALS) else mlflow_login(settings)
    if login is not None:
        os.environ.update(zip(CREDENTIALS, login[:2], strict=False))


def mlflow_file(settings: Settings) -> Path:
    """Return where the local MLflow server's sign-on is configured."""
    return settings.home.resolve() / "mlflow" / "auth.ini"
