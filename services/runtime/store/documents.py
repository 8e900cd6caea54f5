"""What every store takes as a document, whichever adapter it is. Pure."""

import math
from collections.abc import Iterable
from typing import Any

from services.runtime.store.port import Document

_PLAIN = frozenset({str, bool, type(None)})


def checked_id(document: Document) -> str:
    """A document's `_id`. Raises `ValueError` naming what is wrong with the document."""
    key = document.get("_id")
    if not isinstance(key, str) or not key:
        raise ValueError(f"a document's _id is {key!r}; wanted text")
    try:
        _check(document)
    except ValueError as error:
        raise ValueError(f"document {key!r} cannot be stored: {error}") from None
    return key


def check_settable(names: Iterable[str]) -> None:
    """Raises `ValueError` for a field that `Store.update` does not set."""
    wrong = next((name for name in names if name == "_id" or "." in name or name.startswith("$")), None)
    if wrong is not None:
        raise ValueError(f"cannot set {wrong!r}; wanted top-level fields other than _id")


def _check(value: Any) -> None:
    # The exact types come first: this runs for each value of every document.
    kind = type(value)
    if kind in _PLAIN:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{value!r} is not a number of 64 bits")
    elif kind is dict:
        for name, each in value.items():
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is not a name; wanted text")
            _check(each)
    elif kind is list or kind is tuple:
        for each in value:
            _check(each)
    elif not isinstance(value, str):
        raise ValueError(f"{kind.__name__} is not what JSON can hold")
