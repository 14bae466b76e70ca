"""Where a workload's rows come from: the section `source`."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from muster.printable import cell
from muster.settings.places import folder_problem, place_problem, scheme_of
from muster.workload.section import Section
from muster.workload.statement import statement

DATE, WORKLOAD = "{date}", "{workload}"
DEFAULT_FILES = f"landing/{WORKLOAD}/{DATE}.csv.gz"
"""Under the store's root: where a landing function delivers to."""

Format = Literal["csv", "tsv", "jsonl", "parquet"]

FORMATS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""What a file holds, by the end of its name: before that of its compression."""
COMPRESSIONS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
"""How a file of text is compressed, by the end of its name; any other is not."""

NO_TEXT = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})
"""Python's encodings that are of other things than the texts of files."""


def _pattern_problem(files: str) -> str | None:
    """Return why a text is no pattern of files, if so."""
    if problem := place_problem(files):
        return f"is no place of files: {problem}"
    unknown = re.search(r"\{[^{}]*\}|[{}]", files.replace(DATE, "").replace(WORKLOAD, ""))
    if unknown:
        return f"has '{unknown[0]}', which stands for nothing; there is {DATE} (2024-01-08) and {WORKLOAD} (its name)"
    if DATE not in files:
        return f"does not say which file is of which day; write {DATE} where 2024-01-08 stands in their paths"
    if "**" in files or "[" in files:
        return "has more than '*' and '?', which stand for a part of one name: name every folder"
    if not files.isprintable() or files.startswith("~"):
        return "is no path; write it as it is, from '/' or from the store's root"
    parts = files.partition("://")[2].split("/") if scheme_of(files) else files.removeprefix("/").split("/")
    if parts[-1] == "":
        return "is a folder; say which files of it, as '/*.parquet'"
    if any(part in ("", ".", "..") for part in parts):
        return "has a part without a name, '.' or '..'; write the path without"
    return None


def _pattern(files: str) -> str:
    if problem := _pattern_problem(files):
        raise ValueError(f"'{cell(files)}' {problem}")
    return files


def _delimiter(delimiter: str) -> str:
    if not re.fullmatch(r"[\t !#-/:-@\[-`{-~]", delimiter):
        why = "is no delimiter: write one ASCII character that is no letter, digit or quote"
        raise ValueError(f'\'{cell(delimiter)}\' {why}: ";", "|" or "\\t"')
    return delimiter


def _encoding(encoding: str) -> str:
    try:
        known = codecs.lookup(encoding)
    except (LookupError, ValueError):
        known = None
    if known is None or known.name in NO_TEXT or not getattr(known, "_is_text_encoding", False):
        known_ones = "utf-8, latin-1, cp1252, utf-16"
        raise ValueError(f"'{cell(encoding)}' is no encoding of text that Python knows; write one, as {known_ones}")
    return encoding


def is_catalog_name(table: str) -> bool:
    """Tell whether a table is named as of a catalog: `catalog.schema.table`."""
    return re.fullmatch(r"[\w-]+(\.[\w-]+){2}", table) is not None


def _table(table: str) -> str:
    """Check that a text is the path of a table's folder."""
    problem = None
    if wrong := folder_problem(table):
        problem = f"is no place of a table: {wrong}"
    elif "/" not in table:
        no_name = "is no path, and no name of a catalog's table: write catalog.schema.table"
        problem = None if is_catalog_name(table) else no_name
    elif "%" in table:
        problem = "has a '%', which the path of a table may not have: it would be read as a coded character"
    elif not table.isprintable() or any(part in ("..", "~") for part in table.split("/")):
        problem = "is no path; write it as it is, from '/' or from the store's root"
    if problem:
        raise ValueError(f"'{cell(table)}' {problem}")
    return table.rstrip("/")


def _connection(name: str) -> str:
    """Check a database's name; what is none may hold a password, and is not shown."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name):
        rule = (
            "write letters, digits and '_', as 'orders_db'; its address is never here but in MUSTER_CONNECTION_<NAME>"
        )
        raise ValueError(f"is no name of a database: {rule}")
    return name


class DeclaredSource(Section):
    """Files, one or many a day, by the pattern of their paths; or a Delta table; or a database's answer to SQL."""

    files: Annotated[str, Field(max_length=1_000), AfterValidator(_pattern)] = DEFAULT_FILES
    table: Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_table)] | None = Field(
        None, description="The folder of a Delta table that has the rows, or its name in a catalog, in place of files."
    )
    sql: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(statement)] | None = Field(
        None, description="A SELECT that gives the rows of a day, from ':start' to before ':end', in place of files."
    )
    connection: Annotated[str, AfterValidator(_connection)] | None = Field(
        None, description="Of sql: the database, whose address is in `MUSTER_CONNECTION_<NAME>`; no secret is here."
    )
    changed: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="Of sql: a column that grows with every change of a row."
    )
    format: Format | None = Field(None, description="Unless declared, by the end of the files' names.")
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = Field(
        None, description="Of csv: one character; a comma unless declared."
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        "utf-8", description="Of text: a name that Python knows."
    )
    extra: Literal["refuse", "ignore"] | None = Field(
        None,
        description="What is done with columns that are not declared: unless written, files are refused that have "
        "some, and those of a table or of sql ignored.",
    )
    complete: Annotated[str, Field(max_length=200)] = Field(
        "", description="The name of a file beside a day's files, which says that all of them are there."
    )

    @model_validator(mode="after")
    def _of_sql(self) -> DeclaredSource:
        if self.sql is not None and self.connection is None:
            raise ValueError(
                "has 'sql' and no 'connection': write the name of its database, as 'connection: orders_db'"
            )
        for key in ("connection", "changed"):
            if self.sql is None and getattr(self, key) is not None:
                raise ValueError(f"has '{key}', which is of 'sql', and no 'sql': write it, or leave '{key}' out")
        return self

    @property
    def refuses_extra(self) -> bool:
        """Whether columns that are not declared are refused."""
        return (self.extra or ("ignore" if self.table or self.sql else "refuse")) == "refuse"

    @property
    def read_as(self) -> Format | None:
        """What the files hold: as declared, or by the end of their names; None where neither says so."""
        if self.format is not None:
            return self.format
        name = self.files.lower()
        for end in COMPRESSIONS:
            name = name.removesuffix(end)
        return next((held for end, held in FORMATS.items() if name.endswith(end)), None)

    @property
    def separator(self) -> str:
        """What stands between two fields of a line."""
        return self.delimiter or ("\t" if self.read_as == "tsv" else ",")

    @property
    def many(self) -> bool:
        """Whether a day may have more than one file."""
        return bool(re.search(r"[*?]", self.files))

    @property
    def folder(self) -> str:
        """The folder of a day's files, with its placeholders."""
        return self.files.rpartition("/")[0]


def compression(file: str) -> str | None:
    """Return how a file is compressed, by its name."""
    return next((kind for end, kind in COMPRESSIONS.items() if file.lower().endswith(end)), None)
