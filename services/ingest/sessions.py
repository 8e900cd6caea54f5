"""Session documents: made by POST /sessions, live from the first start, ended once.

A document has the fields of `schemas.rest.Session`, flat, and what ingest needs to go on after a crash: `seq_reserved`
(no number above it was used), `connection` (the newest start; whose it is owns the stream), `seen_at_ms` (a frame came
at this time or up to a quarter of the idle limit later), `frame_width`, `frame_height`, `fps`.

And what lets exactly one replica end it (`endings.py`): `end_asked` (the reason, once somebody wants the end),
`ending_by` (who says it to the log now; nobody takes the session up from here on) and `ending_until_ms` (how long that
one's word holds).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from schemas.rest import NewSession, Session
from schemas.sessions import Consent, EndReason, SessionStart
from schemas.wire import StartVideoSession
from services.ingest.protocol import SEQ_BLOCK
from services.runtime.store import Document, Store
from services.runtime.store.collections import SESSIONS


class Mismatch(ValueError):
    """A start message that does not fit its session; the text says where."""


def new_session(new: NewSession, student_id: str, dev_mode: bool, now_ms: int) -> Document:
    return {
        "_id": (session_id := f"s-{secrets.token_hex(12)}"),
        "session_id": session_id,
        "student_id": student_id,
        "lecture_code": new.lecture_code,
        "session_name": new.session_name,
        "state": "created",
        "record": new.record,
        "dev_mode": new.dev_mode if new.dev_mode is not None else dev_mode,
        "consent": new.consent.model_dump(),
        "created_at_ms": now_ms,
        "started_at_ms": None,
        "ended_at_ms": None,
        "end_reason": None,
        "seq_reserved": -1,
        "connection": None,
        "seen_at_ms": now_ms,
    }


def public(document: Document) -> Session:
    """The session as the REST API shows it."""
    return Session.model_validate({name: document[name] for name in Session.model_fields if name in document})


def begin(document: Document, message: StartVideoSession, now_ms: int) -> SessionStart:
    """What the log is told of the session: as first started, whoever comes back; only `landmarks` may differ.

    Raises `Mismatch` when the message is for another student or lecture, or wants what the consent does not cover.
    """
    for field, given in (("student_id", message.student_id), ("lecture_code", message.lecture_code)):
        if given != document[field]:
            raise Mismatch(f"{field} is {given}; this session's is {document[field]}")
    first = document["state"] == "created"
    consent = message.consent if first and message.consent else Consent.model_validate(document["consent"])
    record = message.record if first and message.record is not None else document["record"]
    if record and not consent.recording:
        raise Mismatch("record is true but the consent does not cover recording; ask for it or leave record out")
    return SessionStart(
        session_id=document["_id"],
        student_id=document["student_id"],
        lecture_code=document["lecture_code"],
        session_name=document["session_name"],
        started_at_ms=now_ms if first else document["started_at_ms"],
        frame_width=message.frame_width if first else document["frame_width"],
        frame_height=message.frame_height if first else document["frame_height"],
        fps=message.fps if first else document["fps"],
        record=record,
        landmarks=message.landmarks,
        dev_mode=document["dev_mode"],
        consent=consent,
    )


class Sessions:
    """The documents in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, session_id: str) -> Document | None:
        return await self._store.get(SESSIONS.name, session_id)

    async def live(self) -> list[Document]:
        return await self._store.find(SESSIONS.name, {"state": "live"})

    async def claim(self, document: Document, start: SessionStart, connection: str, now_ms: int) -> Document | None:
        """Note that this connection streams now. None when another did so meanwhile, or the session has ended."""
        changes = {
            "state": "live",
            "started_at_ms": start.started_at_ms,
            "frame_width": start.frame_width,
            "frame_height": start.frame_height,
            "fps": start.fps,
            "record": start.record,
            "consent": start.consent.model_dump(),
            "connection": connection,
            "seen_at_ms": now_ms,
            "seq_reserved": max(document["seq_reserved"], SEQ_BLOCK - 1),
        }
        as_read = {name: document[name] for name in ("connection", "state", "seq_reserved")}
        where = {**as_read, "ending_by": None}
        return await self._store.update(SESSIONS.name, document["_id"], changes, where)

    async def reserve(self, session_id: str, connection: str, seq: int) -> bool:
        """Reserve numbers up to `seq`; False when the stream is another connection's by now, or over."""
        where = {"connection": connection, "state": "live"}
        return await self._store.update(SESSIONS.name, session_id, {"seq_reserved": seq}, where) is not None

    async def seen(self, session_id: str, connection: str, ending_by: str | None, at_ms: int) -> bool:
        """Note that this connection streams; False when it does not: another one does, or it was ended."""
        where = {"connection": connection, "state": "live", "ending_by": ending_by}
        return await self._store.update(SESSIONS.name, session_id, {"seen_at_ms": at_ms}, where) is not None

    async def asked_to_end(self) -> list[Document]:
        """Sessions that somebody wants ended by whoever streams them."""
        return await self._store.find(SESSIONS.name, {"state": "live", "end_asked": {"$ne": None}, "ending_by": None})

    async def ask_end(self, session_id: str, reason: EndReason) -> None:
        """Ask whoever streams it to end it; who asked first gives the reason."""
        where = {"state": "live", "end_asked": None}
        await self._store.update(SESSIONS.name, session_id, {"end_asked": reason}, where)

    async def claim_end(
        self, document: Document, reason: EndReason, by: str, until_ms: int, where: Mapping[str, Any]
    ) -> Document | None:
        """Become the one who ends it: of several that saw the same document, one does. None for the others.

        A claim whose time is over may be taken over; the reason given first stays."""
        changes = {"ending_by": by, "ending_until_ms": until_ms, "end_asked": document.get("end_asked") or reason}
        where = {"state": "live", "ending_by": document.get("ending_by"), **where}
        return await self._store.update(SESSIONS.name, document["_id"], changes, where)

    async def keep_ending(self, session_id: str, by: str, until_ms: int) -> None:
        await self._store.update(SESSIONS.name, session_id, {"ending_until_ms": until_ms}, {"ending_by": by})

    async def ended(self, document: Document, reason: EndReason, at_ms: int) -> Document | None:
        """Note the end of a session that was in this state; None when it is in another by now."""
        changes = {"state": "ended", "ended_at_ms": at_ms, "end_reason": reason}
        return await self._store.update(SESSIONS.name, document["_id"], changes, {"state": document["state"]})
