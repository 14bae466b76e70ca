"""The statement of a source of SQL: what is one, and what is told of what is none."""

from __future__ import annotations

import pytest

from muster.workload.statement import EXAMPLE, PLACEHOLDER, statement


@pytest.mark.parametrize(
    "sql",
    [
        EXAMPLE,
        "select a, ';' AS b from t where at between :start and :end -- not :this; but\n",
        "WITH late AS (SELECT * FROM t WHERE at >= CAST(:start AS timestamp)) SELECT * FROM late WHERE at < :end",
        "SELECT updated_at, \"delete\", 'it''s', $$ ; $$ FROM t WHERE at::date >= :start AND at < :end",
        "/* all; of them */ SELECT '12\\:30' FROM t WHERE at >= :start AND at < :end AND code % 10 = 0",
    ],
)
def test_a_select_of_a_day_is_one(sql: str) -> None:
    if ":this" in sql:
        with pytest.raises(ValueError, match="has ':this', which stands for nothing"):  # SQLAlchemy reads comments too
            statement(sql)
        return
    assert statement(sql) == sql


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT * FROM t", "has no ':start', so no day can be asked for: write which rows are of a day, as SELECT"),
        ("SELECT * FROM t WHERE at >= :start", "has no ':end'"),
        ("SELECT ':end' FROM t WHERE at >= :start -- :end", "has no ':end'"),
        (f"{EXAMPLE};", "has a ';': write one SELECT alone"),
        (f"{EXAMPLE}; DROP TABLE t", "has a ';'"),
        ("DELETE FROM t WHERE at >= :start AND at < :end", "is no SELECT: write one, as SELECT * FROM flights"),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a WHERE x > :start AND x < :end", "has 'DELETE'"),
        (f"{EXAMPLE} AND place = :place", "has ':place', which stands for nothing: there are :start and :end"),
        (f"{EXAMPLE} AND note = 'at :noon'", "where a colon is meant, write '\\:noon'"),
        (f"{EXAMPLE} AND place = ?", "has '?', which stands for nothing"),
        (f"{EXAMPLE} AND place = %(place)s", "has '%(place)s'"),
        (f"{EXAMPLE} AND place = {{date}}", "has '{date}'"),
        (f"{EXAMPLE} AND place = $1", "has '$1'"),
        ("SELECT * FROM t WHERE at >= :start::timestamp AND at < :end", "write CAST(:start AS timestamp)"),
        (f"{EXAMPLE} AND place = 'x", "has a quote that does not end"),
    ],
)
def test_anything_else_is_told_with_what_to_write(sql: str, problem: str) -> None:
    with pytest.raises(ValueError, match="'") as error:
        statement(sql)
    assert problem in str(error.value)


def test_a_placeholder_is_what_sqlalchemy_takes_for_one() -> None:
    from sqlalchemy import TextClause

    assert PLACEHOLDER.pattern.replace("\\\\", "\\x5c") == TextClause._bind_params_regex.pattern
