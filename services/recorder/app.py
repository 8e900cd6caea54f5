"""The recorder's composition root."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from schemas.topics import FRAMES
from services.recorder.archive import Archive, MakeEncoder
from services.recorder.disk import Disk
from services.recorder.encoder import Codec, PyavEncoder
from services.recorder.handlers import FramesHandler
from services.recorder.publisher import Publisher
from services.recorder.session import Session, Tools
from services.runtime.clock import now_ms
from services.runtime.deadletters import DeadLetters
from services.runtime.lag import measure_lag
from services.runtime.lifecycle import StartFailed
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings

GROUP = "recorder"
THREADS = min(4, os.cpu_count() or 1)  # each keeps some memory of every encoder that it ever ran
MEASURE_LAG_EVERY_S = 5.0
SWEEP_EVERY_S = 900.0
PLAYABLE_SHARE = 0.5  # of the time to stop: the other half is for what must be done, to flush and to commit


def build_app(
    settings: Settings,
    log: EventLog,
    metrics: Metrics,
    *,
    disk: Disk | None = None,
    encoder: MakeEncoder = PyavEncoder,
    clock_ms: Callable[[], int] = now_ms,
) -> "Recorder":
    """`disk`, `encoder` and `clock_ms` are for tests that need them to fail."""
    codec: Codec = "mp4v" if settings.recording_default_codec == "mp4v" else "h264"
    archive = Archive(
        settings.recordings_dir, codec, _size(settings.recording_default_resolution), encoder, disk or Disk()
    )
    return Recorder(archive, log, metrics, clock_ms, playable_within_s=settings.graceful_timeout_s * PLAYABLE_SHARE)


class Recorder:
    """Consumes `frames` in group `recorder`; see `services.recorder.session` for what becomes of a record."""

    name = "recorder"

    def __init__(
        self,
        archive: Archive,
        log: EventLog,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        *,
        playable_within_s: float,
    ) -> None:
        self._archive = archive
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="recorder")
        self._tools = Tools(
            archive=archive,
            publisher=Publisher(log, DeadLetters(log, metrics, GROUP)),
            finish=lambda record: self._consumer.finish(record),
            threads=self._threads,
            metrics=metrics,
            now_ms=clock_ms,
        )
        self._handler = FramesHandler(
            lambda session_id, epoch: Session(session_id, epoch, self._tools),
            metrics.sessions.labels(self.name).set,
            playable_within_s=playable_within_s,
        )
        self._consumer = log.consumer([FRAMES], self._handler, group=GROUP)
        self._lag: asyncio.Task[None] | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._archive.prepare)
        except OSError as error:
            raise StartFailed(
                f"recordings cannot be written to {error.filename}: {error.strerror}; "
                "choose another folder with VIDEO_STORAGE_PATH"
            ) from None
        await self._consumer.start()
        self._lag = asyncio.create_task(self._measure_lag(), name="recorder-lag")
        self._sweep = asyncio.create_task(self._sweep_up(), name="recorder-sweep")

    async def stop(self) -> None:
        """Frames that were taken get safe first and are committed while the playable files are made."""
        for task in (self._lag, self._sweep):
            if task is not None:
                task.cancel()
        self._handler.stopping()
        try:
            await self._consumer.stop()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self) -> None:
        if self._lag is None or self._lag.done():
            raise RuntimeError("not consuming")

    async def _measure_lag(self) -> None:
        while True:
            await measure_lag(self._consumer, GROUP, [FRAMES], self._metrics)
            await asyncio.sleep(MEASURE_LAG_EVERY_S)

    async def _sweep_up(self) -> None:
        while True:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._archive.sweep, self._tools.now_ms())
            await asyncio.sleep(SWEEP_EVERY_S)


def _size(resolution: str) -> tuple[int, int] | None:
    """The resolution setting as width and height, made even as H.264 wants it; None for the source's own size."""
    if resolution == "source":
        return None
    width, height = (max(16, int(side) // 2 * 2) for side in resolution.split("x"))
    return width, height
