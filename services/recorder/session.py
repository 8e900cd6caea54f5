"""What one session's records do to its recording, one batch at a time. Encoding and writing happen in threads."""

import asyncio
import contextlib
import enum
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ParamSpec, TypeVar

import structlog

from schemas.events import RecordingEvent
from schemas.frames import FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from services.recorder.archive import Archive
from services.recorder.disk import DiskFull, TakenOver, is_full
from services.recorder.events import event_of, never_begun, reason_of
from services.recorder.frame import Frame
from services.recorder.manifest import ManifestBroken
from services.recorder.metadata import Metadata
from services.recorder.naming import wanted
from services.recorder.picture import Undecodable
from services.recorder.publisher import Publisher
from services.recorder.writer import Writer
from services.runtime.backoff import until_taken
from services.runtime.deadletters import Malformed
from services.runtime.log import Record
from services.runtime.metrics import Metrics
from services.runtime.records import decoded, frame_headers

logger = structlog.get_logger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class State(enum.Enum):
    """UNKNOWN: the disk was not asked yet. IGNORED: not recorded. FAILED: nothing more is written. ENDED: over.
    TAKEN_OVER: another replica goes on with it, and with its records."""

    UNKNOWN = enum.auto()
    IGNORED = enum.auto()
    RECORDING = enum.auto()
    FAILED = enum.auto()
    ENDED = enum.auto()
    TAKEN_OVER = enum.auto()


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sessions share. `finish` tells the log that a record is done, `now_ms` is the time of day."""

    archive: Archive
    publisher: Publisher
    finish: Callable[[Record], None]
    threads: Executor
    metrics: Metrics
    now_ms: Callable[[], int]


class Session:
    """One session on one recorder, under one epoch of its partition's assignment. Its calls do not overlap:
    `services.recorder.lane` sees to that.

    A record is finished when nothing of it can get lost: a frame when its segment is synced, a start when the manifest
    is, an end when the final event is in the log.

    A full disk is waited for: what follows stays in the log, and the group's lag tells. Whoever has to leave before
    there is room leaves the records to the next owner. Any other refusal of the disk ends the recording as failed.
    """

    def __init__(self, session_id: str, epoch: int, tools: Tools) -> None:
        self.session_id = session_id
        self._epoch = epoch
        self._tools = tools
        self._state = State.UNKNOWN
        self._writer: Writer | None = None
        self._metadata: Metadata | None = None
        self._not_opened: str | None = None  # why, when that was tried
        self._told = False  # of that: nobody can be, while nothing is known of the recording
        self._unsafe: list[Record] = []
        self._leaving = asyncio.Event()

    @property
    def taken_over(self) -> bool:
        """Whether the recording and its records are another owner's now."""
        return self._state is State.TAKEN_OVER

    @property
    def oldest_unsafe(self) -> Record | None:
        """The first record whose frame is encoded and not synced yet."""
        return self._unsafe[0] if self._unsafe else None

    def hurry(self) -> None:
        """The session is about to be left: wait for nothing any more."""
        self._leaving.set()

    async def take(self, records: Sequence[Record]) -> None:
        """Do what these records ask for, in their order."""
        readable: list[_Parsed] = []
        for record in records:
            try:
                readable.append((frame_headers(record), record))
            except Malformed as error:
                await self._reject(record, error)
        for kind, group in groupby(readable, key=lambda each: each[0].kind):
            batch = list(group)
            if self.taken_over:
                return
            try:
                if kind == "frame":
                    await self._frames(batch)
                else:
                    for _, record in batch:
                        await (self._start(record) if kind == "start" else self._end(record))
            except Exception as error:  # a bug ends this recording, not the recorder
                await self._fail(error, [record for _, record in batch])

    async def flush(self) -> None:
        """Close the segment and finish its records."""
        writer = self._writer
        if writer is None or self._state is not State.RECORDING:
            return
        try:
            await self._on_disk(writer.flush)
        except Exception as error:
            await self._fail(error, [])
        else:
            self._finish_unsafe()

    async def leave_playable(self) -> None:
        """Before the process ends: a file of what is there so far."""
        if self._writer is None or self._state is not State.RECORDING:
            return
        try:
            await self._in_thread(self._tools.archive.playable_so_far, self._writer)
        except Exception as error:  # the segments are safe; the next recorder finishes them
            logger.warning("no playable file yet", session_id=self.session_id, error=reason_of(error))

    async def _start(self, record: Record) -> None:
        try:
            start = decoded(record, SessionStart)
        except Malformed as error:
            return await self._reject(record, error)
        if not wanted(start):
            if self._state is State.UNKNOWN:
                self._state = State.IGNORED
        elif self._writer is None and self._state is not State.ENDED:
            await self._open(start)
        self._tools.finish(record)
        return None

    async def _open(self, start: SessionStart | None = None) -> None:
        """Go on with this session's recording or, with its start, begin it; or learn that it is over or that there is
        none. What cannot be opened has failed."""
        archive, now_ms = self._tools.archive, self._tools.now_ms
        try:
            found = await self._on_disk(archive.open, self.session_id, self._epoch, start)
        except (OSError, ManifestBroken) as error:
            logger.error("recording not opened", session_id=self.session_id, error=reason_of(error))
            self._state, self._not_opened = State.FAILED, _cannot(error)
            manifest = await self._in_thread(archive.readable, self.session_id)
            if manifest is not None:
                await self._tell(event_of("failed", manifest, now_ms(), error=self._not_opened))
            elif start is not None:
                await self._tell(never_begun(start, now_ms(), self._not_opened))
            self._told = self._told or manifest is not None or start is not None
            return
        if found is None:
            self._state = State.IGNORED
        elif isinstance(found, Metadata):
            self._state, self._metadata = State.ENDED, found
        else:
            self._state, self._writer = State.RECORDING, found
            if self._not_opened is not None:
                await self._in_thread(archive.fail, found, now_ms(), self._not_opened)
            manifest = found.journal.manifest
            if manifest.failure is not None:
                self._state = State.FAILED
                await self._tell(event_of("failed", manifest, now_ms(), error=manifest.failure.error))
            elif start is not None:
                await self._tell(event_of("started", manifest, now_ms()))

    async def _frames(self, batch: "list[_Parsed]") -> None:
        if self._state is State.UNKNOWN:
            await self._open()
        if self._state is not State.RECORDING or self._writer is None:
            for _, record in batch:
                self._tools.finish(record)
            return
        work = await self._in_thread(_encode, self._writer, batch, self._unsafe)
        self._unsafe = work.unsafe
        self._finished(work.safe)
        for record, error in work.rejected:
            await self._reject(record, error)
        if work.failure is None:
            return
        if not is_full(work.failure):
            await self._fail(work.failure, [record for _, record in work.left])
            return
        await self.flush()
        if not self.taken_over:
            await self._frames(work.left)

    async def _end(self, record: Record) -> None:
        try:
            end = decoded(record, SessionEnd)
        except Malformed as error:
            return await self._reject(record, error)
        if self._writer is None and self._state in {State.UNKNOWN, State.FAILED}:
            await self._open()
        await self.flush()
        if self.taken_over:
            return None
        if self._writer is not None:
            archive = self._tools.archive
            await self._tell(await self._on_disk(archive.end, self._writer, end, self._tools.now_ms()))
        elif self._metadata is not None:
            # A crash came between the end of the recording and this record's commit: the event may be missing.
            await self._tell(self._metadata.event)
        elif self._not_opened is not None and not self._told:
            return await self._reject(record, ManifestBroken(self._not_opened))
        await self._forget()
        self._state, self._writer, self._metadata = State.ENDED, None, None
        self._tools.finish(record)
        return None

    async def _forget(self) -> None:
        try:
            await self._in_thread(self._tools.archive.forget, self.session_id, self._writer)
        except (OSError, ManifestBroken) as error:  # the recording is complete; what is left over is only in the way
            logger.warning("segments not deleted", session_id=self.session_id, error=reason_of(error))

    async def _fail(self, error: Exception, records: Sequence[Record]) -> None:
        """Nothing more is written; the session goes on without a recording. `records` are those of no further use."""
        if isinstance(error, TakenOver):
            return self._let_go(error)
        # The traceback of a bug helps; that of a full disk tells paths, which hold names.
        bug = None if isinstance(error, OSError) else error
        logger.error("recording failed", session_id=self.session_id, error=reason_of(error), exc_info=bug)
        given_up, self._unsafe = [*self._unsafe, *records], []
        try:
            if self._state is not State.FAILED:
                self._state = State.FAILED
                if self._writer is not None:
                    fail, at_ms = self._tools.archive.fail, self._tools.now_ms()
                    event = await self._in_thread(fail, self._writer, at_ms, _cannot(error))
                    await self._tell(event)
        except TakenOver as taken_over:
            given_up = []
            self._let_go(taken_over)
        finally:
            for record in given_up:
                self._tools.finish(record)
        return None

    async def _tell(self, event: RecordingEvent) -> None:
        await self._tools.publisher.event(event, self._epoch)

    def _let_go(self, error: TakenOver) -> None:
        """Nothing more is written or finished: the records are the next owner's."""
        logger.warning("recording left to another recorder", session_id=self.session_id, reason=str(error))
        self._state, self._writer, self._unsafe = State.TAKEN_OVER, None, []

    async def _reject(self, record: Record, error: Exception) -> None:
        await self._tools.publisher.dead_letter(record, error)
        self._tools.finish(record)

    def _finish_unsafe(self) -> None:
        safe, self._unsafe = self._unsafe, []
        self._finished(safe)

    def _finished(self, frames: Sequence[Record]) -> None:
        for record in frames:
            self._tools.finish(record)
        self._tools.metrics.frames_recorded.inc(len(frames))

    async def _on_disk(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """In a thread; again while the disk is full. Raises `TakenOver` when the session is left before it has room."""

        async def attempt() -> Result:
            try:
                return await self._in_thread(call, *args, **kwargs)
            except Exception as error:
                if is_full(error):
                    raise DiskFull(reason_of(error)) from error
                raise

        return await until_taken(attempt, DiskFull, self._wait_for_room, pause=self._pause)

    def _wait_for_room(self, error: Exception, number: int) -> None:
        if number == 1:
            logger.warning("recording waits for room on the disk", session_id=self.session_id, error=str(error))

    async def _pause(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._leaving.wait()
            raise TakenOver("there was no room on the disk; its next recorder goes on with it")

    async def _in_thread(
        self, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._tools.threads, lambda: call(*args, **kwargs))


_Parsed = tuple[FrameHeaders, Record]


@dataclass(frozen=True, slots=True)
class _Work:
    """What became of a batch: `left` are the records after a failure, which nothing was done with."""

    safe: list[Record]
    unsafe: list[Record]
    rejected: list[tuple[Record, Exception]]
    failure: Exception | None
    left: "list[_Parsed]"


def _encode(writer: Writer, batch: Sequence[_Parsed], unsafe: Sequence[Record]) -> _Work:
    """Take the frames of a batch; a segment that is full is closed on the way."""
    work = _Work([], list(unsafe), [], None, [])
    for index, (headers, record) in enumerate(batch):
        try:
            if not writer.knows(headers.seq):
                full = writer.take(Frame(headers.seq, headers.captured_at_ms, headers.received_at_ms, record.value))
            else:
                full = False
        except Undecodable as error:
            work.rejected.append((record, error))
            continue
        except Exception as error:
            return replace(work, failure=error, left=list(batch[index:]))
        # A copy waits with the frame it copies: that one may not be safe yet. The picture itself is done with.
        work.unsafe.append(replace(record, value=b""))
        try:
            if full:
                writer.flush()
        except Exception as error:
            return replace(work, failure=error, left=list(batch[index + 1 :]))
        if writer.open_frames == 0:
            work.safe.extend(work.unsafe)
            work.unsafe.clear()
    return work


def _cannot(error: Exception) -> str:
    return f"the recording cannot be written: {reason_of(error)}"
