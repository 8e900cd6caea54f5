"""What happens by the clock: silent sessions end, clients that do not read are closed, other replicas are noticed."""

import asyncio
from collections.abc import Callable

import structlog

from schemas.wire import CLOSE_POLICY
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
        streams = self._streams
        streams.vigil.beat(now_ms)
        for stream in streams:
            if stream.socket is not None and not stream.socket.check_reading():
                logger.info("a client does not read", session_id=stream.session_id, dropped=stream.socket.dropped)
            if stream.publisher.outstanding:
                stream.active_at_ms = now_ms  # it is the log that keeps the session waiting, not the client
            # Who slept has what came meanwhile still to read.
            silent_ms = now_ms - max(stream.active_at_ms, streams.vigil.woke_at_ms)
            if stream.ending or silent_ms < self._idle_ms:
                continue
            if stream.connection is not None:
                streams.endings.end_own(stream, "idle")
            elif stream.socket is not None:
                stream.socket.close(CLOSE_POLICY, "no start_video_session came")
        await self._answer_asks()
        if now_ms - self._looked_at_ms >= min(LOOK_EVERY_MS, self._idle_ms // 4):
            self._looked_at_ms = now_ms
            await streams.endings.renew()
            await self._look(now_ms)

    async def _answer_asks(self) -> None:
        """End what is streamed here and wanted ended elsewhere."""
        for document in await self._streams.sessions.asked_to_end():
            stream = self._streams.get(document["_id"])
            if stream is not None and stream.connection == document["connection"] and not stream.ending:
                self._streams.endings.end_own(stream, document["end_asked"])

    async def _look(self, now_ms: int) -> None:
        """Compare what the store says with the streams here."""
        live = {document["_id"]: document for document in await self._streams.sessions.live()}
        for stream in self._streams:
            document = live.pop(stream.session_id, None)
            if stream.connection is None or (stream.ending and stream.ending_by is None):
                continue
            seen_at_ms = document["seen_at_ms"] if document is not None else 0
            doubtful = document is None or document["connection"] != stream.connection
            if doubtful or stream.active_at_ms - seen_at_ms >= self._idle_ms // 4:
                await self._confirm(stream)
            await stream.reserve_ahead()
        for document in live.values():
            if self._orphaned(document, now_ms):
                self._streams.endings.end_orphan(document)

    async def _confirm(self, stream: Stream) -> None:
        """Note that it is streamed here; let it go where it is not. The store may have been read while it was claimed:
        `confirm` asks again."""
        if not await stream.confirm(stream.active_at_ms):
            self._streams.let_go(stream, await self._streams.sessions.get(stream.session_id))

    def _orphaned(self, document: Document, now_ms: int) -> bool:
        """Live in the store, but no replica has had a frame of it: `seen_at_ms` lags by a quarter of the limit, and
        after a restart or a sleep clients have as long as ever to come back. Whoever began to end it died meanwhile."""
        silent_ms = now_ms - document["seen_at_ms"]
        watched_ms = now_ms - self._streams.vigil.woke_at_ms
        claimed = (document.get("ending_until_ms") or 0) > now_ms
        return silent_ms >= self._idle_ms * 3 // 2 and watched_ms >= self._idle_ms and not claimed
