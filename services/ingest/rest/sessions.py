"""Sessions: made before the camera starts, listed, ended."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.exceptions import RequestValidationError

from schemas.rest import NewSession, Session, SessionCreated
from services.ingest.sessions import new_session, public
from services.ingest.streams import Streams
from services.runtime.access import find_for, session_for
from services.runtime.api import Caller
from services.runtime.auth import STREAM_LIFETIME_S, Auth, Principal
from services.runtime.store import Store
from services.runtime.store.collections import LECTURES, SESSIONS

END_LIMIT_S = 10.0


def build_router(store: Store, auth: Auth, streams: Streams, *, dev_mode: bool, now_ms: Callable[[], int]) -> APIRouter:
    router = APIRouter(prefix="/sessions", tags=["sessions"])

    @router.post("", status_code=201)
    async def add(body: NewSession, caller: Caller) -> SessionCreated:
        """A session and the token that opens its socket."""
        if await store.get(LECTURES.name, body.lecture_code) is None:
            raise HTTPException(404, f"there is no lecture {body.lecture_code}; choose one of GET /api/lectures")
        if body.record and not body.consent.recording:
            reason = "true needs consent.recording: true; ask for it or leave record out"
            raise RequestValidationError([{"type": "value_error", "loc": ("body", "record"), "msg": reason}])
        session = new_session(body, caller.user_id, dev_mode, now_ms())
        await store.insert(SESSIONS.name, session)
        return _opening(auth, caller, session["_id"])

    @router.get("")
    async def mine(
        caller: Caller,
        lecture_code: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> list[Session]:
        """The newest first: one's own, for an instructor those of their lectures too."""
        where = {"lecture_code": lecture_code} if lecture_code else {}
        found = await find_for(store, caller, SESSIONS.name, where, sort=("created_at_ms", -1), limit=limit, skip=skip)
        return [public(session) for session in found]

    @router.get("/{session_id}")
    async def one(session_id: str, caller: Caller) -> Session:
        return public(await session_for(store, caller, session_id))

    @router.post("/{session_id}/token")
    async def token(session_id: str, caller: Caller) -> SessionCreated:
        """A new token for one's own session, to go on with it after the first was lost or has expired."""
        session = await session_for(store, caller, session_id)
        if session["student_id"] != caller.user_id:
            raise HTTPException(403, f"session {session_id} is streamed by its own student alone")
        if session["state"] == "ended":
            raise HTTPException(409, f"session {session_id} has ended; begin a new one")
        return _opening(auth, caller, session_id)

    @router.post("/{session_id}/end")
    async def end(session_id: str, caller: Caller) -> Session:
        """End it; a session that has ended stays as it is."""
        await session_for(store, caller, session_id)
        try:
            async with asyncio.timeout(END_LIMIT_S):
                ended = await streams.end(session_id, "api")
        except TimeoutError:
            raise HTTPException(
                503,
                "the event log or the store is not available; the session ends once they are",
                headers={"Retry-After": "5"},
            ) from None
        if ended is None:
            raise HTTPException(404, f"there is no session {session_id}")
        return public(ended)

    return router


def _opening(auth: Auth, caller: Principal, session_id: str) -> SessionCreated:
    """What opens the session's socket."""
    return SessionCreated(
        session_id=session_id,
        stream_url=f"/api/sessions/{session_id}/stream",
        stream_token=auth.stream_token(caller.user_id, caller.role, session_id),
        expires_in=STREAM_LIFETIME_S,
    )
