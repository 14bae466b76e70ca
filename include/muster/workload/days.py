"""A number of days, as a number or as `60d`."""

from __future__ import annotations

import re


def parse_days(text: object) -> object:
    """Return the number of days of `60d`; anything else as it is."""
    match = re.fullmatch(r"(\d{1,6})\s*d", text.strip(), re.ASCII) if isinstance(text, str) else None
    return int(match[1]) if match else text
