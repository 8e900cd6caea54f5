"""Filters and sort orders as SQL over a table (_id TEXT, doc TEXT holding JSON). Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.runtime.store.filters import check_field, conditions, order
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
    """The filter as one SQL condition. Raises `ValueError`."""
    parts: list[str] = []
    values: list[Any] = []
    for field, operator, value in conditions(where):
        sql, of_sql = _OPERATORS[operator](field, value)
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
    """An ORDER BY clause; empty without a sort. Raises `ValueError`."""
    terms = [f"{expression(field)} {'ASC' if direction == 1 else 'DESC'}" for field, direction in order(sort)]
    return " ORDER BY " + ", ".join(terms) if terms else ""


def _equal(field: str, value: Any) -> Sql:
    if value is None:
        return f"{expression(field)} IS NULL", []
    if isinstance(value, bool):
        return f"{_type(field)} IS '{'true' if value else 'false'}'", []
    sql = f"{expression(field)} = ?"
    return (f"({sql} AND {_no_bool(field)})" if value in (0, 1) else sql), [value]


def _unequal(field: str, value: Any) -> Sql:
    sql, values = _equal(field, value)
    return f"({sql}) IS NOT 1", values  # NULL, from a missing field, is not a match either


def _within(field: str, allowed: Sequence[Any]) -> Sql:
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
        read = expression(field)
        compare = f"{read} {_ORDER[operator]} ?"
        if isinstance(value, str):
            return (compare if operator in ("$gte", "$gt") else f"({compare} AND {read} >= {_LEAST_TEXT})"), [value]
        below_text = f" AND {read} < {_LEAST_TEXT}" if operator in ("$gte", "$gt") else ""
        return f"({compare}{below_text} AND {_no_bool(field)})", [value]

    return build


_OPERATORS: Mapping[str, Callable[[str, Any], Sql]] = {
    **{operator: _ordered(operator) for operator in _ORDER},
    "$eq": _equal,
    "$ne": _unequal,
    "$in": _within,
}


def _path(field: str) -> str:
    check_field(field)
    return "'$" + "".join(f'."{step}"' for step in field.split(".")).replace("'", "''") + "'"


def _type(field: str) -> str:
    return "NULL" if field == "_id" else f"json_type(doc, {_path(field)})"


def _no_bool(field: str) -> str:
    return "1" if field == "_id" else f"{_type(field)} NOT IN ('true', 'false')"
