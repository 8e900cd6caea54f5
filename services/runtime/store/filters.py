"""Filters and sort orders of `port.py` as SQL over a table (_id TEXT, doc TEXT holding JSON). Pure.

The meaning is MongoDB's, so that either adapter answers alike:

- a missing field is null; `None` matches both, `$ne` matches a missing field;
- values of different kinds are never equal nor ordered: True is not 1, "2" is not above 1;
- numbers compare as numbers, text by its UTF-8 bytes.

Values are scalars (str, int, float, bool, None); order operators take numbers or text. All else raises `ValueError`.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from services.runtime.store.port import Filter

Sql = tuple[str, list[Any]]  # a condition and the parameters of its question marks

_ORDER = {"$gte": ">=", "$gt": ">", "$lte": "<=", "$lt": "<"}
# Of SQLite's storage classes, every number is below every text.
_LEAST_TEXT = "''"


def expression(field: str) -> str:
    """SQL that reads a (dotted) field. An index serves a query only when both spell the field through this."""
    if field == "_id":
        return "_id"
    return f"json_extract(doc, {_path(field)})"


def condition(where: Filter | None) -> Sql:
    """The filter as one SQL condition."""
    parts: list[str] = []
    values: list[Any] = []
    for field, wanted in (where or {}).items():
        for sql, of_sql in _field(field, wanted):
            parts.append(sql)
            values.extend(of_sql)
    return " AND ".join(parts) or "1", values


def newer(table: str, field: str | None) -> str:
    """The WHERE clause of an upsert that keeps a document whose `field` is greater. Empty without a field."""
    if field is None:
        return ""
    there, new = (f"coalesce(json_extract({row}.doc, {_path(field)}), -1e999)" for row in (table, "excluded"))
    return f" WHERE {there} <= {new}"


def order_by(sort: Sequence[tuple[str, int]]) -> str:
    """An ORDER BY clause; equal documents come by their `_id`, so that pages do not overlap. Empty without a sort."""
    if not sort:
        return ""
    for field, direction in sort:
        if direction not in (1, -1):
            raise ValueError(f"sort direction of {field!r} is {direction!r}; wanted 1 or -1")
    terms = [f"{expression(field)} {'ASC' if direction == 1 else 'DESC'}" for field, direction in sort]
    if all(field != "_id" for field, _ in sort):
        terms.append("_id ASC")
    return " ORDER BY " + ", ".join(terms)


def _field(field: str, wanted: Any) -> Iterator[Sql]:
    if not isinstance(wanted, Mapping):
        yield _equal(field, wanted)
        return
    if not wanted:
        raise ValueError(f"filter on {field!r} is empty; wanted a value or operators")
    for operator, value in wanted.items():
        build = _OPERATORS.get(operator)
        if build is None:
            raise ValueError(f"filter on {field!r} has {operator!r}; wanted one of {', '.join(_OPERATORS)}")
        yield build(field, value)


def _equal(field: str, value: Any) -> Sql:
    _check_scalar(field, value)
    if value is None:
        return f"{expression(field)} IS NULL", []
    if isinstance(value, bool):
        return f"{_type(field)} IS '{'true' if value else 'false'}'", []
    sql = f"{expression(field)} = ?"
    return (f"({sql} AND {_no_bool(field)})" if value in (0, 1) else sql), [value]


def _unequal(field: str, value: Any) -> Sql:
    sql, values = _equal(field, value)
    return f"({sql}) IS NOT 1", values  # NULL, from a missing field, is not a match either


def _within(field: str, allowed: Any) -> Sql:
    if isinstance(allowed, str) or not isinstance(allowed, Sequence):
        raise ValueError(f"$in on {field!r} has {type(allowed).__name__}; wanted a list of values")
    for value in allowed:
        _check_scalar(field, value)
    listed = [value for value in allowed if value is not None and not isinstance(value, bool)]
    special = [value for value in allowed if value is None or isinstance(value, bool)]
    parts = [_equal(field, value)[0] for value in special]
    if listed:
        # One parameter for any number of values: the number of question marks is limited.
        sql = f"{expression(field)} IN (SELECT value FROM json_each(?))"  # noqa: S608
        parts.append(f"({sql} AND {_no_bool(field)})" if any(value in (0, 1) for value in listed) else sql)
    return f"({' OR '.join(parts) or '0'})", [json.dumps(listed)] if listed else []


def _ordered(operator: str) -> Callable[[str, Any], Sql]:
    def build(field: str, value: Any) -> Sql:
        _check_scalar(field, value)
        read = expression(field)
        compare = f"{read} {_ORDER[operator]} ?"
        if isinstance(value, str):
            return (compare if operator in ("$gte", "$gt") else f"({compare} AND {read} >= {_LEAST_TEXT})"), [value]
        if isinstance(value, bool) or value is None:
            raise ValueError(f"{operator} on {field!r} has {value!r}; wanted a number or text")
        below_text = f" AND {read} < {_LEAST_TEXT}" if operator in ("$gte", "$gt") else ""
        return f"({compare}{below_text} AND {_no_bool(field)})", [value]

    return build


_OPERATORS: Mapping[str, Callable[[str, Any], Sql]] = {
    **{operator: _ordered(operator) for operator in _ORDER},
    "$ne": _unequal,
    "$in": _within,
}


def _path(field: str) -> str:
    steps = field.split(".")
    if not all(steps) or any(sign in field for sign in '"\\\0'):
        raise ValueError(f"{field!r} is not a field name")
    return "'$" + "".join(f'."{step}"' for step in steps).replace("'", "''") + "'"


def _type(field: str) -> str:
    return "NULL" if field == "_id" else f"json_type(doc, {_path(field)})"


def _no_bool(field: str) -> str:
    return "1" if field == "_id" else f"{_type(field)} NOT IN ('true', 'false')"


def _check_scalar(field: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"filter on {field!r} has {value!r}; wanted a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"filter on {field!r} has {value!r}; wanted a number of 64 bits")
    if value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"filter on {field!r} has {type(value).__name__}; wanted text, a number, a boolean or None")
