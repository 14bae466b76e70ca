"""Passwords of the local services where other machines reach them: created once a home, readable by this user only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from muster.mlflow.sign_in import Login, mlflow_file
from muster.settings import Settings

USER = "admin"
_CACHE = 60
"""Seconds for which MLflow remembers a password that was right: without, each call takes 260 ms for its hash."""


def create_passwords(settings: Settings) -> None:
    """Create the passwords that the home does not have yet; none where only this machine reaches the services."""
    if settings.exposed:
        write_once(airflow_file(settings), lambda: json.dumps({USER: secrets.token_urlsafe(24)}))
        write_once(mlflow_file(settings), lambda: _mlflow_config(settings))
        write_once(mlflow_secret(settings), lambda: secrets.token_hex(32))


def write_once(file: Path, text: Callable[[], str]) -> None:
    """Write a file with mode 0600, whole or not at all, unless it is there already."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".tmp")
    partial.unlink(missing_ok=True)  # its mode would stay
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text())
    partial.replace(file)


def airflow_login(settings: Settings) -> Login | None:
    """Return the login of the local Airflow; None where it needs none."""
    file = airflow_file(settings)
    if not settings.exposed or not file.exists():
        return None
    return Login(USER, json.loads(file.read_text(encoding="utf-8"))[USER], file)


def airflow_file(settings: Settings) -> Path:
    """Return the file of the local Airflow's passwords, which Airflow reads itself."""
    return settings.home.resolve() / "airflow" / "passwords.json"


def mlflow_secret(settings: Settings) -> Path:
    """Return the file of the key with which the local MLflow server signs its forms."""
    return settings.home.resolve() / "mlflow" / "secret"


def _mlflow_config(settings: Settings) -> str:
    """Return the configuration of MLflow's basic authentication: other users are added by the admin, and may read."""
    database = str(settings.home.resolve() / "mlflow" / "auth.db").replace("%", "%%")
    options = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{database}",
        "admin_username": USER,
        "admin_password": secrets.token_urlsafe(24),
        "auth_cache_ttl_seconds": _CACHE,
    }
    return "\n".join(["[mlflow]", *(f"{name} = {value}" for name, value in options.items()), ""])
