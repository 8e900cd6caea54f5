"""The recordings API: list, download, thumbnail. Mounted under `/api`; needs the store and the folder of recordings.

A `<video>` or `<img>` cannot send an `Authorization` header, so the two routes that give files also take the access
token as `?token=`. Answers forbid the referrer, and Rapt writes no access log, so that the token stays where it is.
"""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import FileResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from schemas.rest import Problem, Recording
from services.recorder.naming import inside, thumbnail_of
from services.runtime.access import find_for, recording_for, session_for
from services.runtime.api import Caller
from services.runtime.auth import Auth, BadToken, Principal
from services.runtime.settings import Settings
from services.runtime.store import Document, Store
from services.runtime.store.collections import RECORDINGS

_HEADERS = {"Cache-Control": "private, no-cache", "Referrer-Policy": "no-referrer"}
_NEWEST_FIRST = ("started_at_ms", -1)

Limit = Annotated[int, Query(ge=1, le=1_000, description="at most so many, the newest first")]
Skip = Annotated[int, Query(ge=0, le=100_000, description="leave out so many, to page on")]


async def _media_caller(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
    token: Annotated[str | None, Query(description="the access token, where no header can be sent")] = None,
) -> Principal:
    auth: Auth = request.app.state.auth
    try:
        return await auth.identify(credentials.credentials if credentials else token or "", "access")
    except BadToken as error:
        raise HTTPException(401, str(error), headers={"WWW-Authenticate": "Bearer"}) from None


MediaCaller = Annotated[Principal, Depends(_media_caller)]


def build_router(settings: Settings, store: Store) -> APIRouter:
    """Users reach their own recordings, instructors those of their lectures, an admin all; others get 404."""
    folder = settings.recordings_dir
    router = APIRouter(
        prefix="/recordings", tags=["recordings"], responses={status: {"model": Problem} for status in (401, 404, 503)}
    )

    @router.get("/")
    async def recordings(caller: Caller, limit: Limit = 100, skip: Skip = 0) -> list[Recording]:
        """Recordings that the caller reaches, without the deleted ones."""
        where = {"status": {"$ne": "deleted"}}
        found = await find_for(store, caller, RECORDINGS.name, where, sort=_NEWEST_FIRST, limit=limit, skip=skip)
        return [_recording(document) for document in found]

    @router.get("/sessions/{session_id}")
    async def of_session(session_id: str, caller: Caller) -> list[Recording]:
        """The recordings of one session, the newest first, deleted ones too."""
        await session_for(store, caller, session_id)
        found = await store.find(RECORDINGS.name, {"session_id": session_id}, sort=[_NEWEST_FIRST])
        return [_recording(document) for document in found]

    @router.head("/{recording_id}/download", include_in_schema=False)
    @router.get("/{recording_id}/download", response_class=FileResponse)
    async def download(recording_id: str, caller: MediaCaller) -> FileResponse:
        """The MP4; `Range` is honoured, so a player may jump."""
        filename = _filename(await recording_for(store, caller, recording_id))
        return await _file(folder, filename, "video/mp4")

    @router.head("/{recording_id}/thumbnail", include_in_schema=False)
    @router.get("/{recording_id}/thumbnail", response_class=FileResponse)
    async def thumbnail(recording_id: str, caller: MediaCaller) -> FileResponse:
        """A picture from the middle, as JPEG, at most 320 pixels wide."""
        filename = _filename(await recording_for(store, caller, recording_id))
        return await _file(folder, thumbnail_of(filename), "image/jpeg")

    return router


def _recording(document: Document) -> Recording:
    # A document may say more than the API does: seqs, or what a newer recorder added.
    return Recording.model_validate(document, strict=False, extra="ignore")


def _filename(document: Document) -> str:
    filename = document.get("filename")
    if document["status"] == "deleted":
        raise HTTPException(404, "this recording was deleted")
    if not filename:
        running = document["status"] == "recording"
        raise HTTPException(404, f"this recording has no file{' yet: it is still running' if running else ''}")
    return str(filename)


async def _file(folder: Path, filename: str, media_type: str) -> FileResponse:
    path = inside(folder, filename)
    if path is None or not await asyncio.to_thread(path.is_file):
        raise HTTPException(404, "the recording's file is not there any more")
    return FileResponse(
        path, media_type=media_type, filename=filename, content_disposition_type="inline", headers=_HEADERS
    )
