"""Lectures: made by instructors, chosen by students, switched on and off."""

import secrets
from collections.abc import Callable

from fastapi import APIRouter, HTTPException

from schemas.events import Control
from schemas.rest import EngagementSwitch, Lecture, LectureDetail, NewLecture
from schemas.topics import CONTROL
from services.ingest.sessions import public as public_session
from services.runtime.access import find_for, lecture_for
from services.runtime.api import Caller
from services.runtime.log import EventLog
from services.runtime.store import Conflict, Document, Store
from services.runtime.store.collections import LECTURES, SESSIONS

# Letters and digits that nobody mistakes for another when a code is read out.
_CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 6
DEMO_LECTURE = "DEMO"
MAX_SESSIONS = 500


async def ensure_demo_lecture(store: Store, now_ms: int, instructor_id: str = "instructor") -> None:
    """Make the lecture `DEMO` if it is missing."""
    lecture = _document(DEMO_LECTURE, "Demo lecture", instructor_id, now_ms)
    try:
        await store.insert(LECTURES.name, lecture)
    except Conflict:
        return


def build_router(store: Store, log: EventLog, now_ms: Callable[[], int]) -> APIRouter:
    router = APIRouter(prefix="/lectures", tags=["lectures"])

    @router.post("", status_code=201)
    async def add(body: NewLecture, caller: Caller) -> Lecture:
        if caller.role == "student":
            raise HTTPException(403, "only an instructor makes lectures")
        code = body.lecture_code or "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))
        lecture = _document(code, body.title, caller.user_id, now_ms())
        try:
            await store.insert(LECTURES.name, lecture)
        except Conflict:
            raise HTTPException(409, f"there is a lecture {code} already; choose another code") from None
        return _public(lecture)

    @router.get("")
    async def mine(caller: Caller) -> list[Lecture]:
        """A student chooses among all, an instructor sees their own."""
        where = {"instructor_id": caller.user_id} if caller.role == "instructor" else {}
        return [_public(lecture) for lecture in await store.find(LECTURES.name, where, sort=[("_id", 1)])]

    @router.get("/{lecture_code}")
    async def detail(lecture_code: str, caller: Caller) -> LectureDetail:
        """With its newest sessions: all for its instructor, their own for a student."""
        if caller.role == "student":
            lecture = await store.get(LECTURES.name, lecture_code)
            if lecture is None:
                raise HTTPException(404, f"there is no lecture {lecture_code}")
        else:
            lecture = await lecture_for(store, caller, lecture_code)
        sessions = await find_for(
            store,
            caller,
            SESSIONS.name,
            {"lecture_code": lecture_code},
            sort=("created_at_ms", -1),
            limit=MAX_SESSIONS,
        )
        return LectureDetail(lecture=_public(lecture), sessions=[public_session(session) for session in sessions])

    @router.put("/{lecture_code}/engagement")
    async def switch(lecture_code: str, body: EngagementSwitch, caller: Caller) -> Lecture:
        """Turn the lecture's measuring on or off; every student's page is told."""
        await lecture_for(store, caller, lecture_code)
        lecture = await store.update(LECTURES.name, lecture_code, {"engagement_enabled": body.enabled})
        if lecture is None:
            raise HTTPException(404, f"there is no lecture {lecture_code}")
        control = Control(
            kind="engagement",
            enabled=body.enabled,
            lecture_code=lecture_code,
            issued_at_ms=now_ms(),
            issued_by=caller.user_id,
        )
        await (await log.send(CONTROL, lecture_code, control.encode()))
        return _public(lecture)

    return router


def _document(code: str, title: str, instructor_id: str, now_ms: int) -> Document:
    return {
        "_id": code,
        "lecture_code": code,
        "title": title,
        "instructor_id": instructor_id,
        "engagement_enabled": True,
        "created_at_ms": now_ms,
    }


def _public(lecture: Document) -> Lecture:
    return Lecture.model_validate({name: lecture[name] for name in Lecture.model_fields})
