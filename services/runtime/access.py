"""Who reaches what: users their own data, an instructor the lectures they own, an admin all.

Whoever may not reach a thing gets the same 404 as if it did not exist. The rules are one pure function per question;
the rest asks the store and raises `HTTPException`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException

from services.runtime.auth import Principal
from services.runtime.store import Document, Filter, Store
from services.runtime.store.collections import LECTURES, RECORDINGS, SESSIONS


def owns_lecture(principal: Principal, lecture: Document | None) -> bool:
    """May see its roster and flip its switches."""
    if lecture is None:
        return False
    return principal.role == "admin" or (
        principal.role == "instructor" and lecture.get("instructor_id") == principal.user_id
    )


def reaches(principal: Principal, document: Document, lecture: Document | None) -> bool:
    """May see a session, or what was derived from one (`student_id`, `lecture_code`), held in this lecture."""
    return (
        principal.role == "admin" or document.get("student_id") == principal.user_id or owns_lecture(principal, lecture)
    )


async def session_for(store: Store, principal: Principal, session_id: str) -> Document:
    """The session, or 404."""
    return await _reached(store, principal, SESSIONS.name, session_id, f"there is no session {session_id}")


async def recording_for(store: Store, principal: Principal, recording_id: str) -> Document:
    """The recording, or 404."""
    return await _reached(store, principal, RECORDINGS.name, recording_id, f"there is no recording {recording_id}")


async def lecture_for(store: Store, principal: Principal, lecture_code: str) -> Document:
    """A lecture whose roster and switches this caller may use, or 404."""
    lecture = await store.get(LECTURES.name, lecture_code)
    if lecture is None or not owns_lecture(principal, lecture):
        raise HTTPException(404, f"there is no lecture {lecture_code}")
    return lecture


async def find_for(
    store: Store,
    principal: Principal,
    collection: str,
    where: Filter | None = None,
    *,
    sort: tuple[str, int],
    limit: int = 0,
    skip: int = 0,
) -> list[Document]:
    """Those documents of `sessions` or `recordings` that match and that this caller reaches; for lists.

    `sort` names a field that every document has.
    """
    scopes = [both(where or {}, scope) for scope in await _scopes(store, principal)]
    found: dict[str, Document] = {}
    for each in scopes:
        if each is not None:
            documents = await store.find(collection, each, sort=[sort], limit=limit + skip if limit else 0)
            found.update((document["_id"], document) for document in documents)
    field, direction = sort
    ranked = sorted(
        sorted(found.values(), key=lambda document: str(document["_id"])),
        key=lambda d: d[field],
        reverse=direction == -1,
    )
    return ranked[skip : skip + limit] if limit else ranked[skip:]


def both(where: Filter, scope: Filter) -> Filter | None:
    """A filter that holds where both hold; None where nothing can. `scope` has plain values and `$in`.

    Raises `ValueError` where `where` has operators on a field of `scope`.
    """
    merged: dict[str, Any] = dict(where)
    for field, allowed in scope.items():
        if field not in where:
            merged[field] = allowed
            continue
        wanted = where[field]
        if isinstance(wanted, Mapping):
            raise ValueError(f"cannot narrow a filter with operators on {field!r}; wanted a plain value")
        values: Sequence[Any] = allowed["$in"] if isinstance(allowed, Mapping) else [allowed]
        if wanted not in values:
            return None
    return merged


async def _reached(store: Store, principal: Principal, collection: str, key: str, absent: str) -> Document:
    document = await store.get(collection, key)
    if document is not None:
        lecture = None
        if principal.role == "instructor":
            lecture = await store.get(LECTURES.name, str(document.get("lecture_code")))
        if reaches(principal, document, lecture):
            return document
    raise HTTPException(404, absent)


async def _scopes(store: Store, principal: Principal) -> list[Filter]:
    """Filters that together cover what the caller reaches."""
    if principal.role == "admin":
        return [{}]
    own: Filter = {"student_id": principal.user_id}
    if principal.role != "instructor":
        return [own]
    lectures = await store.find(LECTURES.name, {"instructor_id": principal.user_id})
    return [own, {"lecture_code": {"$in": [lecture["_id"] for lecture in lectures]}}]
