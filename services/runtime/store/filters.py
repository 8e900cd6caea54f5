"""Filters and sort orders of `port.py`, checked and taken apart; each adapter says them in its own language. Pure.

The meaning is MongoDB's, so that every adapter answers alike:

- a missing field is null; `None` matches both, `$ne` matches a missing field;
- values of different kinds are never equal nor ordered: True is not 1, "2" is not above 1;
- numbers compare as numbers, text by its UTF-8 bytes.

Values are scalars (str, int, float, bool, None); order operators take numbers or text. All else raises `ValueError`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from services.runtime.store.port import Filter

ORDER_OPERATORS = ("$gte", "$gt", "$lte", "$lt")
OPERATORS = (*ORDER_OPERATORS, "$ne", "$in")


class Condition(NamedTuple):
    """What one field must be. `operator` is one of `OPERATORS`, or `$eq` for a plain value."""

    field: str
    operator: str
    value: Any


def conditions(where: Filter | None) -> Iterator[Condition]:
    """The parts of a filter; all must hold."""
    for field, wanted in (where or {}).items():
        check_field(field)
        if not isinstance(wanted, Mapping):
            _check_scalar(field, wanted)
            yield Condition(field, "$eq", wanted)
            continue
        if not wanted:
            raise ValueError(f"filter on {field!r} is empty; wanted a value or operators")
        for operator, value in wanted.items():
            _check_operand(field, operator, value)
            yield Condition(field, operator, value)


def order(sort: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The sort with its tie-break: equal documents come by their `_id`, so that pages do not overlap. Empty without a
    sort."""
    for field, direction in sort:
        check_field(field)
        if direction not in (1, -1):
            raise ValueError(f"sort direction of {field!r} is {direction!r}; wanted 1 or -1")
    by_id = any(field == "_id" for field, _ in sort)
    return [*sort] if by_id or not sort else [*sort, ("_id", 1)]


def check_field(field: str) -> None:
    """Raises `ValueError` for what is not a (dotted) name of a field."""
    if any(sign in field for sign in '"\\\0') or any(not step or step.startswith("$") for step in field.split(".")):
        raise ValueError(f"{field!r} is not a field name")


def _check_operand(field: str, operator: str, value: Any) -> None:
    if operator not in OPERATORS:
        raise ValueError(f"filter on {field!r} has {operator!r}; wanted one of {', '.join(OPERATORS)}")
    if operator == "$in":
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"$in on {field!r} has {type(value).__name__}; wanted a list of values")
        for each in value:
            _check_scalar(field, each)
        return
    _check_scalar(field, value)
    if operator in ORDER_OPERATORS and (value is None or isinstance(value, bool)):
        raise ValueError(f"{operator} on {field!r} has {value!r}; wanted a number or text")


def _check_scalar(field: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"filter on {field!r} has {value!r}; wanted a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"filter on {field!r} has {value!r}; wanted a number of 64 bits")
    if value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"filter on {field!r} has {type(value).__name__}; wanted text, a number, a boolean or None")
