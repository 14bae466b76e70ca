"""Write the password of .env where Airflow's simple auth manager looks for it, for its user's eyes only."""

from __future__ import annotations

import json
import os
from pathlib import Path

file = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
user = os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].partition(":")[0]
file.unlink(missing_ok=True)
with os.fdopen(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
    json.dump({user: os.environ["AIRFLOW_ADMIN_PASSWORD"]}, opened)
