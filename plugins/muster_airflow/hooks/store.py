"""Secrets of the object store, left out of Airflow's logs: whatever library tells an error, with or without its URL."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from airflow.sdk.log import mask_secret

ADDRESSES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
"""Variables whose address may have a password in it."""


def mask_store_password() -> None:
    """Have Airflow leave the password of the store's address out of this process's logs, also out of tracebacks."""
    for name in ADDRESSES:
        try:
            password = urlsplit(os.environ.get(name, "")).password
        except ValueError:  # no address: whoever reads it says so
            continue
        for written in {password, unquote(password)} if password else ():
            mask_secret(written)
