"""The instructor's view of a lecture: who streams in it, what is measured of them, pictures where they agreed."""

import asyncio

import structlog

from schemas.events import FrameMetrics, Prediction
from schemas.wire import LiveSession, Roster
from services.ingest import messages
from services.ingest.socket import Socket
from services.runtime.store import Document, Store, StoreUnavailable
from services.runtime.store.collections import LECTURES, SESSIONS, USERS

logger = structlog.get_logger(__name__)

# At most five metrics a second and session: a class of thirty is 150 messages a second.
MIN_INTERVAL_MS = 200
LOOK_EVERY_S = 2.0


class _Tile:
    """What is known of one session of a watched lecture."""

    __slots__ = ("document", "metrics", "prediction", "sent_at_ms")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.metrics: bytes | None = None
        self.prediction: Prediction | None = None
        self.sent_at_ms = 0


class _Watched:
    """A lecture that somebody watches on this replica."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.tiles: dict[str, _Tile] = {}
        self.shown: tuple[object, ...] | None = None


class LiveView:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._watched: dict[str, _Watched] = {}
        self._lecture_of: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sockets(self) -> list[Socket]:
        return [socket for watched in self._watched.values() for socket in watched.sockets]

    async def attach(self, lecture_code: str, socket: Socket) -> None:
        """Show a lecture on this socket, the roster first."""
        watched = self._watched.setdefault(lecture_code, _Watched())
        watched.shown = None  # the new one gets the roster, and that it comes twice harms nobody
        watched.sockets.add(socket)
        await self.refresh(lecture_code)

    def detach(self, lecture_code: str, socket: Socket) -> None:
        watched = self._watched.get(lecture_code)
        if watched is None:
            return
        watched.sockets.discard(socket)
        if not watched.sockets:
            del self._watched[lecture_code]
            for session_id in watched.tiles:
                self._lecture_of.pop(session_id, None)

    def watches(self, session_id: str) -> bool:
        """Whether somebody here sees this session."""
        return session_id in self._lecture_of

    def changed(self, lecture_code: str) -> None:
        """A session of it started or ended, or its switch was flipped: show it soon."""
        if lecture_code in self._watched:
            task = asyncio.create_task(self.refresh(lecture_code))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Other replicas' sessions come and go too: look every two seconds."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for socket in self.sockets:
                socket.check_reading()
            for lecture_code in list(self._watched):
                await self.refresh(lecture_code)

    async def refresh(self, lecture_code: str) -> None:
        """Read who streams now; send the roster when it differs from the one sent last."""
        try:
            lecture = await self._store.get(LECTURES.name, lecture_code)
            documents = await self._store.find(
                SESSIONS.name, {"lecture_code": lecture_code, "state": "live"}, sort=[("created_at_ms", 1)]
            )
            await self._learn_names({document["student_id"] for document in documents})
        except StoreUnavailable as error:
            logger.warning("roster postponed", error=str(error))
            return
        watched = self._watched.get(lecture_code)
        if watched is None:
            return
        enabled = bool(lecture and lecture["engagement_enabled"])
        shown = (enabled, *((document["_id"], document["connection"]) for document in documents))
        if shown == watched.shown:
            return
        watched.shown = shown
        for gone in watched.tiles.keys() - {document["_id"] for document in documents}:
            del watched.tiles[gone]
            self._lecture_of.pop(gone, None)
        for document in documents:
            watched.tiles.setdefault(document["_id"], _Tile(document)).document = document
            self._lecture_of[document["_id"]] = lecture_code
        roster = Roster(
            lecture_code=lecture_code,
            engagement_enabled=enabled,
            sessions=[self._live_session(watched.tiles[document["_id"]]) for document in documents],
        )
        text = roster.encode().decode()
        for socket in watched.sockets:
            socket.text(text)

    def metrics(self, session_id: str, data: bytes, latency_ms: int, now_ms: int) -> None:
        tile = self._tile(session_id)
        if tile is None:
            return
        tile.metrics = data
        if now_ms - tile.sent_at_ms >= MIN_INTERVAL_MS:
            tile.sent_at_ms = now_ms
            self._show(session_id, messages.live_metrics(latency_ms, data))

    def prediction(self, session_id: str, prediction: Prediction, message: str) -> None:
        """`message` is the prediction as it is sent; who comes later gets it with the roster."""
        tile = self._tile(session_id)
        if tile is not None:
            tile.prediction = prediction
            self._show(session_id, message)

    def preview(self, session_id: str, jpeg: bytes) -> None:
        tile = self._tile(session_id)
        if tile is not None and tile.document["consent"].get("live_view") is True:
            self._show(session_id, messages.preview(session_id, jpeg))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tile(self, session_id: str) -> _Tile | None:
        lecture_code = self._lecture_of.get(session_id)
        return self._watched[lecture_code].tiles.get(session_id) if lecture_code in self._watched else None

    def _show(self, session_id: str, message: str | bytes) -> None:
        for socket in self._watched[self._lecture_of[session_id]].sockets:
            socket.result(message)

    def _live_session(self, tile: _Tile) -> LiveSession:
        document = tile.document
        student_id: str = document["student_id"]
        return LiveSession(
            session_id=document["_id"],
            student_id=student_id,
            display_name=self._names.get(student_id, student_id),
            live=True,
            live_view=document["consent"].get("live_view") is True,
            started_at_ms=document["started_at_ms"],
            metrics=FrameMetrics.decode(tile.metrics) if tile.metrics else None,
            prediction=tile.prediction,
        )

    async def _learn_names(self, student_ids: set[str]) -> None:
        unknown = sorted(student_ids - self._names.keys())
        if unknown:
            for user in await self._store.find(USERS.name, {"_id": {"$in": unknown}}):
                self._names[user["_id"]] = user["display_name"]
