"""The tree of a Realtime Database and what its REST protocol can ask of it. Pure.

After the REST reference (https://firebase.google.com/docs/reference/rest/database) and what firebase-admin sends: nulls
are absences, an object without children is gone, a value under a scalar takes its place, a multi-path update is whole
or nothing, numbers come before texts and texts before objects in an order by child.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any
Path = tuple[str, ...]
_FORBIDDEN = frozenset(".$#[]/") | {chr(code) for code in (*range(32), 127)}
_MOST_KEY_BYTES = 768


class Refused(ValueError):
    """What Firebase answers 400 to; the text is its `error`."""


def path_of(text: str) -> Path:
    """`lectures/MATH-101` → its keys. Raises `Refused`."""
    keys = tuple(key for key in text.split("/") if key)
    for key in keys:
        _check_key(key)
    return keys


def read(tree: Json, path: Path) -> Json:
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def write(tree: Json, path: Path, value: Json) -> Json:
    """The tree with `value` at `path`; None takes away what is there. The tree given is left as it is."""
    if not path:
        return pruned(value)
    children = dict(tree) if isinstance(tree, dict) else {}
    child = write(children.pop(path[0], None), path[1:], value)
    if child is not None:
        children[path[0]] = child
    return children or None


def update(tree: Json, at: Path, changes: Json) -> Json:
    """A PATCH: each key of `changes` is a path below `at`; all or none. Raises `Refused`."""
    if not isinstance(changes, dict):
        raise Refused("Invalid data; couldn't parse JSON object. Are you sending a JSON object with valid key names?")
    paths = {path_of(key): value for key, value in changes.items()}
    if len(paths) != len(changes) or () in paths:
        raise Refused("Invalid data; a path is given twice or is empty")
    for path in paths:
        if any(path[:depth] in paths for depth in range(1, len(path))):
            raise Refused(f"Data to write cannot hold {'/'.join(path)} and a path above it")
    for path, value in paths.items():
        tree = write(tree, at + path, value)
    return tree


def pruned(value: Json) -> Json:
    """The value as it is kept: without nulls and empty objects; lists as objects of numbers. Raises `Refused`."""
    if isinstance(value, list):
        value = {str(number): each for number, each in enumerate(value)}
    if not isinstance(value, dict):
        return value
    for key in value:
        _check_key(key)
    kept = {key: pruned(each) for key, each in value.items()}
    return {key: each for key, each in kept.items() if each is not None} or None


def shown(value: Json) -> Json:
    """The value as it is answered: an object whose keys are mostly 0, 1, 2, … is a list with nulls in its gaps."""
    if not isinstance(value, dict):
        return value
    answer = {key: shown(each) for key, each in value.items()}
    if not all(key.isdecimal() and str(int(key)) == key for key in answer):
        return answer
    longest = max(map(int, answer)) + 1
    return [answer.get(str(number)) for number in range(longest)] if len(answer) * 2 > longest else answer


def etag(value: Json) -> str:
    if value is None:
        return "null_etag"
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def query(value: Json, parameters: Mapping[str, str]) -> Json:
    """What a GET's `shallow`, `orderBy`, `equalTo`, `startAt`, `endAt`, `limitToFirst` and `limitToLast` leave."""
    filters = {"equalTo", "startAt", "endAt", "limitToFirst", "limitToLast"} & set(parameters)
    if parameters.get("shallow") == "true":
        if filters or "orderBy" in parameters:
            raise Refused("Mixing 'shallow' and querying parameters is not supported")
        return dict.fromkeys(value, True) if isinstance(value, dict) else value
    if "orderBy" not in parameters:
        if filters:
            raise Refused("orderBy must be defined when other query parameters are defined")
        return value
    order_by = _literal(parameters, "orderBy")
    if not isinstance(order_by, str):
        raise Refused("orderBy must be a valid JSON encoded path")
    if not isinstance(value, dict):
        return value
    entries = sorted(value.items(), key=lambda entry: (_rank(_index(entry, order_by)), _key_rank(entry[0])))
    if "equalTo" in parameters:
        wanted = _rank(_literal(parameters, "equalTo"))
        entries = [entry for entry in entries if _rank(_index(entry, order_by)) == wanted]
    if "startAt" in parameters:
        least = _rank(_literal(parameters, "startAt"))
        entries = [entry for entry in entries if _rank(_index(entry, order_by)) >= least]
    if "endAt" in parameters:
        most = _rank(_literal(parameters, "endAt"))
        entries = [entry for entry in entries if _rank(_index(entry, order_by)) <= most]
    return dict(_limited(entries, parameters)) or None


def _limited(entries: Sequence[tuple[str, Json]], parameters: Mapping[str, str]) -> Sequence[tuple[str, Json]]:
    if "limitToFirst" in parameters:
        return entries[: int(parameters["limitToFirst"])]
    if "limitToLast" in parameters:
        return entries[max(0, len(entries) - int(parameters["limitToLast"])) :]
    return entries


def _index(entry: tuple[str, Json], order_by: str) -> Json:
    if order_by == "$key":
        return entry[0]
    return entry[1] if order_by == "$value" else read(entry[1], tuple(order_by.split("/")))


def _rank(value: Json) -> tuple[int, Any]:
    if value is None or isinstance(value, bool):
        return (0 if value is None else 1 + value, 0)
    if isinstance(value, int | float):
        return 3, value
    return (4, value) if isinstance(value, str) else (5, 0)


def _key_rank(key: str) -> tuple[int, Any]:
    return (0, int(key)) if key.isdecimal() else (1, key)


def _literal(parameters: Mapping[str, str], name: str) -> Json:
    try:
        return json.loads(parameters[name])
    except ValueError:
        raise Refused(f"{name} must be a valid JSON encoded value") from None


def _check_key(key: str) -> None:
    if not key or _FORBIDDEN & set(key) or len(key.encode()) > _MOST_KEY_BYTES:
        raise Refused(f"Invalid path or key {key!r}: keys must be non-empty and not hold any of . $ # [ ] /")
