"""Where files may be: folders of this machine, mounted ones too, and object stores."""

from __future__ import annotations

import re

SCHEMES = ("s3", "abfss", "gs")


def scheme_of(place: str) -> str | None:
    """Return the scheme of a URI, None of a path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", place)
    return match[1] if match else None


def below_root(root: str, place: str) -> str:
    """Return where a declared place is: a relative path is below the store's root."""
    return place if place.startswith("/") or scheme_of(place) else f"{root}/{place}"


def place_problem(place: str) -> str | None:
    """Return why files can be at no such place, if so."""
    scheme = scheme_of(place)
    if scheme is None:
        return None
    if scheme not in SCHEMES:
        return f"'{scheme}://' is not supported; use {', '.join(f'{known}://' for known in SCHEMES)} or a local path"
    if not re.match(rf"{scheme}://[^/?#*{{}}]+(/|$)", place):
        return f"names no bucket or container; write {scheme}://BUCKET/FOLDER"
    return None


def folder_problem(place: str) -> str | None:
    """Return why a folder can be at no such place, if so: who opens it by its URI would read some letters otherwise."""
    if (problem := place_problem(place)) or scheme_of(place) is None:
        return problem
    if coded := re.search(r"[^!-~]|[%#?\[\]{}|\\^<>`\"]", place):
        return f"has a {coded[0]!r}, which a URI may not have as it is; call the folder otherwise"
    return None
