"""The students' WebSocket over a real uvicorn, log and store."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

import services.ingest.socket
from schemas import examples
from schemas.events import SessionTotals
from schemas.frames import FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import FRAMES, STATUS, Topic
from services.runtime import clock
from services.runtime.log import Consumer, EventLog, Handler, LogUnavailable, Position, Record
from services.runtime.store import StoreUnavailable
from services.runtime.store.collections import SESSIONS
from tests.support.edge import Edge, Reader, edge, start_message, tiny_jpeg
from tests.support.log_reader import until


class Now:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.ms = 1_760_000_000_000

    def __call__(self) -> int:
        return self.ms


async def passes(running: Edge, now: Now, duration_ms: int) -> None:
    """Let time go by as it does, the sweep looking on: a clock that jumps looks like a process that slept."""
    end_ms = now.ms + duration_ms
    while now.ms < end_ms:
        now.ms = min(end_ms, now.ms + 1_000)
        await running.ingest.sweep.once(now.ms)


class _Before:
    """A log before the real one."""

    name = "log"

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def start(self) -> None:
        await self._log.start()

    async def close(self) -> None:
        await self._log.close()

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        return await self._log.send(topic, key, value, headers)

    def consumer(
        self, topics: Sequence[Topic], handler: Handler, *, group: str | None, max_records: int = 256
    ) -> Consumer:
        return self._log.consumer(topics, handler, group=group, max_records=max_records)

    async def snapshot(self, topic: Topic, *partitions: int) -> Mapping[str, Record]:
        return await self._log.snapshot(topic, *partitions)

    async def check(self) -> None:
        await self._log.check()


class HeldLog(_Before):
    """Holds the acknowledgements of frames back until the test lets them go."""

    hold = False

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self.waiting: list[Callable[[], None]] = []

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        if not self.hold:
            return await super().send(topic, key, value, headers)
        held: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self.waiting.append(lambda: held.set_result(Position(0, 0)))
        return held

    def let_go(self, count: int) -> None:
        for answer in self.waiting[:count]:
            answer()
        del self.waiting[:count]


class BrokenLog(_Before):
    """Refuses frames while `broken`."""

    broken = False

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        if self.broken:
            raise LogUnavailable("the disk is full")
        return await super().send(topic, key, value, headers)


async def test_a_session_from_start_to_stop(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session(record=True)
        client = await running.stream(session_id)
        started = await client.start(fps=15)
        assert started == {
            "type": "processing_started_ack",
            "sessionId": session_id,
            "credit": 64,
            "maxFrameBytes": 1 << 20,
            "targetFps": 15.0,
            "resumeFromSeq": 0,
        }
        for seq in (0, 1, 5):
            await client.frame(seq, jpeg=tiny_jpeg(size_bytes=100 + seq))
        await until(lambda: client.acked == 5)
        await client.say(type="stop_video_session")
        await until(lambda: len(log.of("end")) == 1)
        totals = SessionTotals(frames=3, analyzed=2, skipped=1, blink_count=0, yawn_count=0)
        status = examples.STATUS.model_copy(update={"session_id": session_id, "totals": totals})
        await (await running.log.send(STATUS, session_id, status.encode()))
        assert await client.until_closed() == 1000
        ended = client.of("processing_ended_ack")[0]
        assert (ended["frames"], ended["analyzed"], ended["skipped"], ended["recordingId"]) == (3, 2, 1, None)

        assert [record.headers["kind"] for record in log.records] == ["start", "frame", "frame", "frame", "end"]
        start = SessionStart.decode(log.records[0].value)
        assert (start.session_id, start.student_id, start.fps, start.record) == (session_id, "student", 15.0, True)
        assert [len(record.value) for record in log.of("frame")] == [100, 101, 105]
        headers = log.records[3].headers
        decoded = FrameHeaders.decode(headers)
        assert decoded.seq == 5
        assert decoded.encode().items() <= dict(headers).items()
        assert headers["schema"] == "frames.v1"
        assert headers["traceparent"].startswith("00-")
        end = SessionEnd.decode(log.records[4].value)
        assert (end.reason, end.last_seq) == ("client", 5)
        document = await running.until_ended(session_id)
        assert document["end_reason"] == "client"
        assert document["started_at_ms"] == start.started_at_ms


async def test_bare_frames_are_numbered_and_stamped(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        client = await running.started(await running.session())
        before_ms = clock.now_ms()
        for _ in range(3):
            await client.send(tiny_jpeg())
        await until(lambda: client.acked == 2)
        assert log.seqs == [0, 1, 2]
        assert all(int(record.headers["captured_at_ms"]) >= before_ms for record in log.of("frame"))


async def test_one_acknowledgement_covers_many_frames(tmp_path: Path) -> None:
    async with edge(tmp_path, before_log=HeldLog) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        held.hold = True
        for seq in range(20):
            await client.frame(seq)
        await until(lambda: len(held.waiting) == 20)
        assert client.of("ack") == []
        held.let_go(10)
        await until(lambda: client.acked == 9)
        held.let_go(10)
        await until(lambda: client.acked == 19)
        assert len(client.of("ack")) == 2


async def test_nothing_is_acknowledged_before_the_log_has_it_and_all_before_it(tmp_path: Path) -> None:
    async with edge(tmp_path, before_log=HeldLog) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        held.hold = True
        for seq in range(3):
            await client.frame(seq)
        await until(lambda: len(held.waiting) == 3)
        last = held.waiting.pop()
        last()
        # An answer to something else shows that no acknowledgement was on its way.
        await client.say(type="nonsense")
        await until(lambda: client.codes() == ["unknown_type"])
        assert client.of("ack") == []
        held.let_go(2)
        await until(lambda: client.acked == 2)
        assert len(client.of("ack")) == 1


async def test_frames_wait_while_the_log_is_away(tmp_path: Path) -> None:
    async with edge(tmp_path, before_log=BrokenLog) as running, Reader(running.log, [FRAMES]) as log:
        broken = running.front
        assert isinstance(broken, BrokenLog)
        client = await running.started(await running.session())
        broken.broken = True
        for seq in range(5):
            await client.frame(seq)
        await until(lambda: client.codes() == ["unavailable"])
        with pytest.raises(RuntimeError, match="does not take frames"):
            await running.ingest.check()
        assert client.of("ack") == []
        broken.broken = False
        await client.frame(5)
        await until(lambda: client.acked == 5)
        assert log.seqs == [0, 1, 2, 3, 4, 5]
        await running.ingest.check()


async def test_a_lost_connection_goes_on_where_it_was(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session()
        first = await running.started(session_id)
        for seq in range(4):
            await first.frame(seq, captured_at_ms=1_000_000 + seq)
        await until(lambda: first.acked == 3)
        first.connection.transport.abort()

        second = await running.stream(session_id)
        assert (await second.start())["resumeFromSeq"] == 4
        # The client did not hear of the last two: it sends them again, then goes on.
        for seq in range(2, 6):
            await second.frame(seq, captured_at_ms=1_000_000 + seq)
        await until(lambda: second.acked == 5)
        assert log.seqs == [0, 1, 2, 3, 4, 5]
        assert len(log.of("start")) == 2
        assert log.of("start")[0].value == log.of("start")[1].value
        assert second.codes() == []


async def test_a_number_used_for_another_frame_is_refused(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session()
        first = await running.started(session_id)
        await first.frame(0, captured_at_ms=1)
        await until(lambda: first.acked == 0)
        second = await running.started(session_id)
        await second.frame(0, captured_at_ms=2)
        await until(lambda: second.codes() == ["seq_not_increasing"])
        assert log.seqs == [0]


async def test_after_a_restart_numbers_go_on_above_all_that_were_used(tmp_path: Path) -> None:
    async with edge(tmp_path) as running:
        session_id = await running.session()
        client = await running.started(session_id)
        for seq in range(3):
            await client.frame(seq)
        await until(lambda: client.acked == 2)
    assert client.closed == 1001
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        assert (await running.document(session_id))["state"] == "live"
        # One that remembers sends what was not acknowledged and goes on counting.
        again = await running.started(session_id)
        await again.frame(3)
        await again.frame(4)
        await until(lambda: again.acked == 4)
        # One that forgot numbers from what it is told, and so does the server for bare frames.
        await again.close()
        forgetful = await running.stream(session_id)
        assert (await forgetful.start())["resumeFromSeq"] == 1024
        await forgetful.frame(1024)
        await forgetful.send(tiny_jpeg())
        await until(lambda: forgetful.acked == 1025)
        assert log.seqs == [3, 4, 1024, 1025]
        assert (await running.document(session_id))["seq_reserved"] >= 1025


async def test_the_newer_of_two_sockets_wins(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session()
        older = await running.started(session_id)
        await older.frame(0)
        await until(lambda: older.acked == 0)
        newer = await running.started(session_id)
        assert await older.until_closed() == 4409
        assert older.of("processing_error")[-1]["code"] == "replaced"
        assert older.of("processing_error")[-1]["fatal"] is True
        await newer.frame(1)
        await until(lambda: newer.acked == 1)
        assert log.seqs == [0, 1]


async def test_a_session_taken_by_another_replica_is_let_go(tmp_path: Path) -> None:
    async with edge(tmp_path) as running:
        session_id = await running.session()
        client = await running.started(session_id)
        await running.store.update(SESSIONS.name, session_id, {"connection": "elsewhere"})
        await running.ingest.sweep.once(clock.now_ms() + 60_000)
        assert await client.until_closed() == 4409


async def test_who_comes_back_from_another_replica_goes_on_above_its_numbers(tmp_path: Path) -> None:
    async with edge(tmp_path) as running:
        session_id = await running.session()
        client = await running.started(session_id)
        await client.frame(0)
        await until(lambda: client.acked == 0)
        await running.store.update(SESSIONS.name, session_id, {"connection": "elsewhere"})
        again = await running.stream(session_id)
        assert (await again.start())["resumeFromSeq"] == 1024
        await again.frame(5)  # what the other replica did not acknowledge
        await until(lambda: again.acked == 5)


async def test_an_idle_session_is_ended(tmp_path: Path) -> None:
    now = Now()
    async with edge(tmp_path, now_ms=now, totals_limit_s=0.01) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session()
        client = await running.started(session_id)
        await passes(running, now, 60_000)
        await client.frame(0)
        await until(lambda: client.acked == 0)
        await passes(running, now, 119_999)
        await client.frame(1)
        await until(lambda: client.acked == 1)
        await passes(running, now, 120_000)
        assert await client.until_closed() == 4410
        assert client.of("processing_ended_ack")[0]["frames"] == 2
        assert SessionEnd.decode(log.of("end")[0].value).reason == "idle"
        assert (await running.until_ended(session_id))["end_reason"] == "idle"


async def test_a_session_that_nobody_resumes_after_a_restart_is_ended(tmp_path: Path) -> None:
    now = Now()
    async with edge(tmp_path, now_ms=now) as running:
        session_id = await running.session()
        await running.started(session_id)
    now.ms += 3_600_000
    async with edge(tmp_path, now_ms=now) as running, Reader(running.log, [FRAMES]) as log:
        await passes(running, now, 119_000)
        assert (await running.document(session_id))["state"] == "live"
        await passes(running, now, 6_000)
        assert (await running.until_ended(session_id))["end_reason"] == "idle"
        assert SessionEnd.decode(log.of("end")[0].value).reason == "idle"


async def test_stop_acknowledges_what_came_and_ends_no_session(tmp_path: Path) -> None:
    async with edge(tmp_path) as running, Reader(running.log, [FRAMES]) as log:
        session_id = await running.session()
        client = await running.started(session_id)
        for seq in range(10):
            await client.frame(seq)
        await until(lambda: len(log.seqs) > 0)
        await running.ingest.stop()
        assert await client.until_closed() == 1001
        assert client.acked == max(log.seqs)
        assert log.of("end") == []
        assert (await running.document(session_id))["state"] == "live"
        refused = await running.stream(session_id)
        assert await refused.until_closed() == 1001


async def test_a_client_that_never_reads_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.ingest.socket, "BLOCKED_LIMIT_S", 0.2)
    async with edge(tmp_path) as running:
        deaf_id, other_id = await running.session("s-deaf"), await running.session("s-other")
        deaf = await running.stream(deaf_id, read=False, max_queue=1)
        await deaf.say(**start_message(), landmarks=True)
        stream = None
        while stream is None or stream.protocol is None or not stream.protocol.started:
            await asyncio.sleep(0.005)
            stream = running.ingest.streams.get(deaf_id)
        other = await running.started(other_id)
        # Until the kernel's buffers are full and then some.
        socket = stream.socket
        assert socket is not None
        while socket.dropped < 100:
            socket.result(bytes(100_000))
            await asyncio.sleep(0)
        while stream.socket is not None:
            await running.ingest.sweep.once(clock.now_ms())
            await asyncio.sleep(0.01)
        await other.frame(0)
        await until(lambda: other.acked == 0)
        assert other.codes() == []


async def test_a_socket_that_never_starts_is_closed(tmp_path: Path) -> None:
    now = Now()
    async with edge(tmp_path, now_ms=now) as running:
        session_id = await running.session()
        client = await running.stream(session_id)
        await client.say(type="nonsense")
        await until(lambda: client.codes() == ["unknown_type"])
        await passes(running, now, 120_000)
        assert await client.until_closed() == 1008
        await until(lambda: running.ingest.streams.get(session_id) is None)
        assert (await running.document(session_id))["state"] == "created"


async def test_a_start_waits_for_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with edge(tmp_path) as running:
        client = await running.stream(await running.session())
        with monkeypatch.context() as patch:

            async def away(*_: object) -> None:
                raise StoreUnavailable("the disk is full")

            patch.setattr(running.ingest.streams.sessions, "claim", away)
            await client.say(**start_message())
            await until(lambda: client.codes() == ["unavailable"])
        await until(lambda: len(client.of("processing_started_ack")) == 1)


async def test_stop_waits_for_what_the_log_is_about_to_take(tmp_path: Path) -> None:
    async with edge(tmp_path, before_log=HeldLog) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        held.hold = True
        await client.frame(0)
        await until(lambda: len(held.waiting) == 1)
        stopping = asyncio.create_task(running.ingest.stop())
        await until(lambda: running.ingest.streams.stopping)
        held.let_go(1)
        await stopping
        assert await client.until_closed() == 1001
        assert client.acked == 0


async def test_numbers_are_reserved_ahead_so_that_the_store_may_be_away(tmp_path: Path) -> None:
    async with edge(tmp_path) as running:
        session_id = await running.session()
        client = await running.started(session_id)
        await client.frame(600)
        await until(lambda: client.acked == 600)
        await running.ingest.sweep.once(clock.now_ms() + 6_000)
        assert (await running.document(session_id))["seq_reserved"] == 600 + 1024 + 512
        running.ingest.streams.sessions.reserve = _away  # type: ignore[method-assign, assignment]
        await client.frame(600 + 1024)
        await until(lambda: client.acked == 600 + 1024)


async def _away(*_: object) -> bool:
    raise StoreUnavailable("the disk is full")
