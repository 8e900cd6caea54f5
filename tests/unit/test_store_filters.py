"""The translation of filters to SQL, against a plain reading of what they mean."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime.store import Document
from services.runtime.store.sqlite_query import condition, expression, order_by

FIELDS = ("a", "b", "a.x", "it's", "odd $name")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-1.5, 0.0, 1.0, 2.5]),
    st.sampled_from(["", "0", "1", "a", "b", "é", "'"]),
)
NUMBERS_OR_TEXT = SCALARS.filter(lambda value: value is not None and not isinstance(value, bool))
OPERATORS = st.one_of(
    SCALARS,
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("$gte", "$gt", "$lte", "$lt"), NUMBERS_OR_TEXT),
            "$ne": SCALARS,
            "$in": st.lists(SCALARS, max_size=4),
        },
    ).filter(bool),
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["a", "b", "it's", "odd $name"]), st.one_of(SCALARS, st.fixed_dictionaries({"x": SCALARS}))
)


@settings(max_examples=400)
@given(SCALARS, OPERATORS)
def test_sql_means_what_the_filter_means(value: Any, wanted: Any) -> None:
    assert found({"a": value}, {"a": wanted}) == holds(value, wanted)


@given(DOCUMENTS, st.dictionaries(st.sampled_from(FIELDS), OPERATORS, max_size=3))
def test_all_fields_must_hold(document: Document, where: dict[str, Any]) -> None:
    # An object is neither a scalar nor missing; filters on it are left to the fields inside.
    where = {field: wanted for field, wanted in where.items() if not isinstance(document.get(field), dict)}
    assert found(document, where) == all(holds(read(document, field), wanted) for field, wanted in where.items())


def found(document: Document, where: dict[str, Any]) -> bool:
    sql, values = condition(where)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (_id TEXT, doc TEXT)")
        db.execute("INSERT INTO t VALUES ('1', ?)", (json.dumps(document),))
        return bool(db.execute(f"SELECT count(*) FROM t WHERE {sql}", values).fetchone()[0] == 1)  # noqa: S608


def read(document: Any, field: str) -> Any:
    for step in field.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def holds(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return same(value, wanted)
    return all(OPERATOR[operator](value, operand) for operator, operand in wanted.items())


def kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return repr(type(value))
    return "number" if isinstance(value, (int, float)) else "text"


def same(value: Any, other: Any) -> bool:
    return kind(value) == kind(other) and bool(value == other)


OPERATOR: dict[str, Any] = {
    "$gte": lambda value, operand: kind(value) == kind(operand) and value >= operand,
    "$gt": lambda value, operand: kind(value) == kind(operand) and value > operand,
    "$lte": lambda value, operand: kind(value) == kind(operand) and value <= operand,
    "$lt": lambda value, operand: kind(value) == kind(operand) and value < operand,
    "$ne": lambda value, operand: not same(value, operand),
    "$in": lambda value, operands: any(same(value, operand) for operand in operands),
}


@pytest.mark.parametrize("field", ["", ".", "a.", 'a"b', "a\\b", "a\0b", "$a", "a.$b"])
def test_a_field_name_cannot_leave_its_quotes(field: str) -> None:
    with pytest.raises(ValueError, match="field name"):
        expression(field)


def test_no_filter_matches_everything() -> None:
    assert condition(None) == condition({}) == ("1", [])


def test_values_are_never_part_of_the_sql() -> None:
    sql, values = condition({"a": "' OR 1", "b": {"$in": ["x'y"], "$gte": "z'"}})
    assert "OR 1" not in sql
    assert "x'y" not in sql
    assert values == ["' OR 1", '["x\'y"]', "z'"]


def test_equal_documents_come_by_their_id() -> None:
    assert order_by([("a", -1)]).endswith(" DESC, _id ASC")
    assert order_by([("_id", -1)]) == " ORDER BY _id DESC"
    assert order_by([]) == ""
