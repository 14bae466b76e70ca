"""What every section of a workload's YAML has in common."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Section(BaseModel):
    """A section of the YAML: immutable, strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


MAX_DAYS = 36_600
"""With windows of a century at most, no date of a partition is one that Python does not know."""


def parse_days(text: object) -> object:
    """Return the number of days of `60d`; anything else as it is."""
    match = re.fullmatch(r"(\d{1,6})\s*d", text.strip(), re.ASCII) if isinstance(text, str) else None
    return int(match[1]) if match else text
