"""All streams of this replica: who has which, and how they end."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import structlog

from schemas.sessions import EndReason
from schemas.wire import CLOSE_ENDED, CLOSE_GOING_AWAY, CLOSE_NORMAL, ProcessingEndedAck
from services.ingest.protocol import Limits, Protocol
from services.ingest.sessions import Sessions
from services.ingest.socket import Socket
from services.ingest.stream import Stream
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.store import Document, Store, StoreUnavailable
from services.runtime.store.collections import RECORDINGS

logger = structlog.get_logger(__name__)

# How long the end of a session waits for the analyzer's totals.
TOTALS_LIMIT_S = 10.0
DRAIN_LIMIT_S = 5.0
STORE_RETRY_S = 1.0


class Streams:
    """`changed(lecture_code)` is called when a session of that lecture starts or ends here."""

    def __init__(
        self,
        log: EventLog,
        store: Store,
        metrics: Metrics,
        limits: Limits,
        now_ms: Callable[[], int],
        changed: Callable[[str], None],
        *,
        totals_limit_s: float = TOTALS_LIMIT_S,
    ) -> None:
        self._log = log
        self._store = store
        self.sessions = Sessions(store)
        self._metrics = metrics
        self._limits = limits
        self._now_ms = now_ms
        self.changed = changed
        self._totals_limit_s = totals_limit_s
        self._streams: dict[str, Stream] = {}
        self._ends: dict[str, asyncio.Task[Document | None]] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self.stopping = False

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def get(self, session_id: str) -> Stream | None:
        return self._streams.get(session_id)

    def attach(self, document: Document, socket: Socket) -> tuple[Stream, Protocol]:
        """Give a session to this socket."""
        stream = self._streams.get(document["_id"])
        if stream is None:
            stream = Stream(document, self._log, self.sessions, self._metrics, self._limits, self._now_ms)
            self._streams[stream.session_id] = stream
            self._metrics.sessions.labels("ingest").set(len(self._streams))
        protocol = Protocol(stream.state, self._limits)
        stream.take(socket, protocol)
        return stream, protocol

    def detach(self, stream: Stream, socket: Socket) -> None:
        """The socket is gone; the stream waits for the client to come back."""
        if stream.socket is socket:
            stream.socket = stream.protocol = None
            if stream.connection is None:
                self.forget(stream, "nothing came of it")

    def forget(self, stream: Stream, reason: str) -> None:
        """The session goes on elsewhere, or nowhere."""
        stream.publisher.close()
        stream.release(reason)
        if self._streams.get(stream.session_id) is stream:
            del self._streams[stream.session_id]
            self._metrics.sessions.labels("ingest").set(len(self._streams))

    async def end(self, session_id: str, reason: EndReason) -> Document | None:
        """End a session once, whoever asks and however often; returns its document, None for an unknown one."""
        # Whoever asked may go away; the end goes on.
        return await asyncio.shield(self.end_soon(session_id, reason))

    def end_soon(self, session_id: str, reason: EndReason) -> "asyncio.Task[Document | None]":
        """Begin to end a session; the task is one for all who ask meanwhile."""
        task = self._ends.get(session_id)
        if task is None:
            task = asyncio.create_task(self._end(session_id, reason), name=f"end {session_id}")
            self._ends[session_id] = task
            task.add_done_callback(partial(self._end_done, session_id))
        return task

    def _end_done(self, session_id: str, task: "asyncio.Task[Document | None]") -> None:
        del self._ends[session_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a session was not ended", session_id=session_id, error=str(error))

    async def _end(self, session_id: str, reason: EndReason) -> Document | None:
        document = await self.sessions.get(session_id)
        if document is None or document["state"] == "ended":
            return document
        stream = self._streams.get(session_id)
        if stream is not None and stream.connection != document["connection"]:
            self.forget(stream, "a newer connection took this session")
            stream = None
        now_ms = self._now_ms()
        if document["state"] == "live":
            # First the log, then the store: after a crash between the two, the end is said again.
            teller = stream or Stream(document, self._log, self.sessions, self._metrics, self._limits, self._now_ms)
            await teller.end(reason, now_ms)
        document = await self._note_end(session_id, reason, now_ms)
        if document is not None:
            self.changed(document["lecture_code"])
            if stream is not None:
                task = asyncio.create_task(self._farewell(stream, document), name=f"farewell {session_id}")
                self._farewells.add(task)
                task.add_done_callback(self._farewells.discard)
        return document

    async def _note_end(self, session_id: str, reason: EndReason, at_ms: int) -> Document | None:
        while True:
            try:
                return await self.sessions.ended(session_id, reason, at_ms)
            except StoreUnavailable as error:
                logger.warning("the end of a session waits for the store", session_id=session_id, error=str(error))
            await asyncio.sleep(STORE_RETRY_S)

    async def _farewell(self, stream: Stream, document: Document) -> None:
        """Tell the socket how it went, once the analyzer has said its last, and let it go."""
        stream.ending = True
        totals = None
        if stream.socket is not None and document["started_at_ms"] is not None:
            try:
                async with asyncio.timeout(self._totals_limit_s):
                    totals = await asyncio.shield(stream.totals)
            except TimeoutError:
                logger.warning("no totals of a session in time", session_id=stream.session_id)
        if (socket := stream.socket) is not None:
            frames = stream.frames
            if totals is not None and not stream.known_from_the_start:
                frames = max(frames, totals.frames)
            socket.control(
                ProcessingEndedAck(
                    frames=frames,
                    analyzed=totals.analyzed if totals else None,
                    skipped=totals.skipped if totals else None,
                    duration_ms=max(
                        0, document["ended_at_ms"] - (document["started_at_ms"] or document["ended_at_ms"])
                    ),
                    recording_id=stream.recording_id or await self._recording_of(stream),
                )
            )
            if document["end_reason"] == "client":
                socket.close(CLOSE_NORMAL, "the session ended")
            else:
                socket.close(CLOSE_ENDED, f"the session was ended ({document['end_reason']})")
        stream.socket = stream.protocol = None
        self.forget(stream, "the session has ended")

    async def _recording_of(self, stream: Stream) -> str | None:
        """From the store, when this replica did not see the recording start."""
        if not stream.record:
            return None
        found = await self._store.find(RECORDINGS.name, {"session_id": stream.session_id}, limit=1)
        return str(found[0]["_id"]) if found else None

    async def stop(self) -> None:
        """Take no more frames, acknowledge what is under way, close the sockets. The sessions go on."""
        self.stopping = True
        for stream in self:
            if stream.socket is not None:
                stream.ending = True
        try:
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await asyncio.gather(*(stream.publisher.drain() for stream in self))
                await asyncio.gather(*self._ends.values(), return_exceptions=True)
        except TimeoutError:
            logger.warning("the log did not take every frame in time; clients send them again")
        sockets = [stream.socket for stream in self if stream.socket is not None]
        for socket in sockets:
            socket.close(CLOSE_GOING_AWAY, "the server stops; come back")
        try:
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await asyncio.gather(*(socket.closed() for socket in sockets))
        except TimeoutError:
            logger.warning("some sockets did not close in time")
        unfinished = [*self._farewells, *self._ends.values()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for stream in self:
            self.forget(stream, "the server stops")
