"""Documents as JSON: the measure of what a store takes, whichever adapter it is. Pure."""

import json
from collections.abc import Iterable

from services.runtime.store.port import Document


def key_and_json(document: Document) -> tuple[str, str]:
    """A document's `_id` and its JSON. Raises `ValueError` naming what is wrong with it."""
    key = document.get("_id")
    if not isinstance(key, str) or not key:
        raise ValueError(f"a document's _id is {key!r}; wanted text")
    try:
        return key, json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"document {key!r} cannot be stored: {error}") from None


def check_settable(names: Iterable[str]) -> None:
    """Raises `ValueError` for a field that `Store.update` does not set."""
    wrong = next((name for name in names if name == "_id" or "." in name or name.startswith("$")), None)
    if wrong is not None:
        raise ValueError(f"cannot set {wrong!r}; wanted top-level fields other than _id")
