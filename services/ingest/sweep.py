"""What happens by the clock: silent sessions end, clients that do not read are closed, other replicas are noticed."""

import asyncio
from collections.abc import Callable

import structlog

from schemas.wire import CLOSE_ENDED, CLOSE_POLICY
from services.ingest.stream import Stream
from services.ingest.streams import Streams
from services.runtime.log import LogUnavailable
from services.runtime.store import Document, StoreUnavailable

logger = structlog.get_logger(__name__)

SWEEP_EVERY_S = 1.0
LOOK_EVERY_MS = 5_000


class Sweep:
    """`once(now_ms)` does what is due; `run` calls it every second."""

    def __init__(self, streams: Streams, *, idle_ms: int, now_ms: Callable[[], int]) -> None:
        self._streams = streams
        self._idle_ms = idle_ms
        self._now_ms = now_ms
        self._began_at_ms = now_ms()
        self._looked_at_ms = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.once(self._now_ms())
            except (StoreUnavailable, LogUnavailable) as error:
                logger.warning("sweep postponed", error=str(error))
            except Exception:
                logger.exception("sweep failed")

    async def once(self, now_ms: int) -> None:
        for stream in self._streams:
            if stream.socket is not None and not stream.socket.check_reading():
                logger.info("a client does not read", session_id=stream.session_id, dropped=stream.socket.dropped)
            if stream.ending or now_ms - stream.last_frame_at_ms < self._idle_ms:
                continue
            if stream.connection is not None:
                self._streams.end_soon(stream.session_id, "idle")
            elif stream.socket is not None:
                stream.socket.close(CLOSE_POLICY, "no start_video_session came")
        if now_ms - self._looked_at_ms >= min(LOOK_EVERY_MS, self._idle_ms // 4):
            self._looked_at_ms = now_ms
            await self._look(now_ms)

    async def _look(self, now_ms: int) -> None:
        """Compare what the store says with the streams here."""
        live = {document["_id"]: document for document in await self._streams.sessions.live()}
        for stream in self._streams:
            document = live.pop(stream.session_id, None)
            if stream.connection is None or stream.ending:
                continue
            if document is None:
                document = await self._streams.sessions.get(stream.session_id)
                if document is None or document["state"] == "ended":
                    if stream.socket is not None:
                        stream.socket.close(CLOSE_ENDED, "the session has ended")
                        stream.socket = stream.protocol = None
                    self._streams.forget(stream, "the session has ended")
            elif document["connection"] != stream.connection:
                await self._check_taken(stream)
            elif stream.last_frame_at_ms - document["seen_at_ms"] >= self._idle_ms // 4:
                await self._streams.sessions.seen(stream.session_id, stream.connection, stream.last_frame_at_ms)
        for document in live.values():
            if self._orphaned(document, now_ms):
                self._streams.end_soon(document["_id"], "idle")

    async def _check_taken(self, stream: Stream) -> None:
        """Another replica has it, unless the store was read while this one was claiming it."""
        connection = stream.connection
        document = await self._streams.sessions.get(stream.session_id)
        settled = stream.connection == connection and not stream.claiming
        if settled and document is not None and document["connection"] != connection:
            self._streams.forget(stream, "a newer connection took this session")

    def _orphaned(self, document: Document, now_ms: int) -> bool:
        """Live in the store, but no replica has had a frame of it: `seen_at_ms` lags by a quarter of the limit, and
        after a restart clients have as long as ever to come back."""
        silent_ms = now_ms - document["seen_at_ms"]
        return silent_ms >= self._idle_ms * 3 // 2 and now_ms - self._began_at_ms >= self._idle_ms
