"""How a session ends: once, by one replica, whoever asks for it and whoever dies on the way.

Claim it in the store, say `end` to the log behind the last frame, note the end in the store: in this order. From the
claim on nobody takes the session up again, so nothing of it comes behind the `end`. A crash before the last step leaves
the session live and claimed; once it has been silent for long enough and the claim is old, the sweep of any replica
claims it anew and says `end` again: readers take a second one for nothing.

Who streams a session ends it: it alone knows what is on its way to the log. Others ask (`end_asked`), and do it
themselves only where nobody answers.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from schemas.sessions import EndReason
from services.ingest.sessions import Sessions
from services.ingest.stream import Stream
from services.runtime.backoff import until_taken
from services.runtime.store import Document, StoreUnavailable

logger = structlog.get_logger(__name__)

Result = TypeVar("Result")

CLAIM_MS = 30_000  # the sweep renews it every few seconds
OWNER_LIMIT_S = 5.0  # how long whoever streams a session may take to hear that its end is wanted
ASK_EVERY_S = 0.25


class Endings:
    """`own(document)` is the stream of this session here, where this replica is the one who streams it; `teller` makes
    one that can say its end. `done(stream, document)` is called once it has ended; `gone(stream, document)` when it
    turned out not to be this replica's."""

    def __init__(
        self,
        sessions: Sessions,
        now_ms: Callable[[], int],
        *,
        own: Callable[[Document], Stream | None],
        teller: Callable[[Document], Stream],
        done: Callable[[Stream | None, Document], None],
        gone: Callable[[Stream, Document | None], None],
        owner_limit_s: float,
    ) -> None:
        self._sessions = sessions
        self._now_ms = now_ms
        self._own = own
        self._teller = teller
        self._done = done
        self._gone = gone
        self._owner_limit_s = owner_limit_s
        self._claims: dict[str, str] = {}  # claim → session
        self.tasks: set[asyncio.Task[Any]] = set()

    async def end(self, session_id: str, reason: EndReason) -> Document | None:
        """End a session, whoever asks and however often; returns its document, None for an unknown one.

        Whoever asked may go away; the end goes on."""
        return await asyncio.shield(self._begin(self._end(session_id, reason), session_id))

    def end_own(self, stream: Stream, reason: EndReason) -> None:
        """Begin to end a session that this replica streams."""
        stream.ending = True
        self._begin(self._end_own(stream, reason), stream.session_id)

    def end_orphan(self, document: Document) -> None:
        """Begin to end a session as it was seen in the store: nothing happens if it moved since."""
        seen = {"connection": document["connection"], "seen_at_ms": document["seen_at_ms"]}
        self._begin(self._finish(document, "idle", None, seen), document["_id"])

    async def renew(self) -> None:
        """Keep what this replica claimed, however long the log takes."""
        for claim, session_id in list(self._claims.items()):
            await self._sessions.keep_ending(session_id, claim, self._now_ms() + CLAIM_MS)

    async def _end(self, session_id: str, reason: EndReason) -> Document | None:
        give_up_s = asyncio.get_running_loop().time() + self._owner_limit_s
        while True:
            document = await self._stored(lambda: self._sessions.get(session_id))
            if document is None or document["state"] == "ended":
                return document
            stream = self._own(document)
            overdue = asyncio.get_running_loop().time() >= give_up_s
            if document["state"] == "created" or (document.get("ending_by") is None and (stream or overdue)):
                ended = await self._finish(document, reason, stream, {"connection": document["connection"]})
                if ended is not None:
                    return ended
            else:
                await self._stored(lambda: self._sessions.ask_end(session_id, reason))
                await asyncio.sleep(ASK_EVERY_S)

    async def _end_own(self, stream: Stream, reason: EndReason) -> None:
        document = await self._stored(lambda: self._sessions.get(stream.session_id))
        if document is not None and self._own(document) is stream and document["state"] != "ended":
            where = {"connection": stream.connection}
            if await self._finish(document, reason, stream, where) is not None:
                return
            document = await self._stored(lambda: self._sessions.get(stream.session_id))
        self._gone(stream, document)

    async def _finish(
        self, document: Document, reason: EndReason, stream: Stream | None, where: dict[str, Any]
    ) -> Document | None:
        """Claim, say, note. None when it is another one's to end, or moved on."""
        now_ms = self._now_ms()
        if document["state"] == "created":  # the log never heard of it
            ended = await self._stored(lambda: self._sessions.ended(document, reason, now_ms))
        else:
            claim = secrets.token_hex(8)
            until_ms = now_ms + CLAIM_MS
            claimed = await self._stored(lambda: self._sessions.claim_end(document, reason, claim, until_ms, where))
            if claimed is None:
                return None
            ended = await self._say(claimed, claim, stream)
        if ended is not None:
            self._done(stream, ended)
        return ended

    async def _say(self, document: Document, claim: str, stream: Stream | None) -> Document | None:
        session_id, reason, now_ms = document["_id"], document["end_asked"], self._now_ms()
        self._claims[claim] = session_id
        try:
            teller = stream or self._teller(document)
            teller.ending_by = claim
            await teller.end(reason, now_ms)
            noted = await self._stored(lambda: self._sessions.ended(document, reason, now_ms))
        finally:
            del self._claims[claim]
        return noted or await self._stored(lambda: self._sessions.get(session_id))

    async def _stored(self, call: Callable[[], Awaitable[Result]]) -> Result:
        def refused(error: Exception, number: int) -> None:
            if number == 1:
                logger.warning("the end of a session waits for the store", error=str(error))

        return await until_taken(call, StoreUnavailable, refused)

    def _begin(self, work: Coroutine[Any, Any, Result], session_id: str) -> "asyncio.Task[Result]":
        task = asyncio.create_task(work, name=f"end {session_id}")
        self.tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: "asyncio.Task[Any]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a session was not ended", task=task.get_name(), error=repr(error))
