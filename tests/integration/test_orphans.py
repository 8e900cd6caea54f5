"""Sessions whose client vanished, whose ingest died or slept, whose end was half said: ended once, by one replica."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.events import RecordingEvent
from schemas.sessions import SessionEnd
from schemas.topics import DEAD_LETTERS, FRAMES, PREDICTIONS, RECORDINGS, STATUS
from services.analyzer.app import build_app as build_analyzer
from services.ingest.app import Ingest, build_app
from services.recorder.app import build_app as build_recorder
from services.runtime.auth import Auth
from services.runtime.http import HttpServer
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store import StoreUnavailable
from services.runtime.store.sqlite import SqliteStore
from tests.support.edge import CHEAP, SECRET, Edge, Reader, furnish, start_message
from tests.support.log_reader import until
from tests.support.recordings import end_of, headers_of, numbered_jpeg, start_of

IDLE_MS = 120_000


class Now:
    """A clock that the test sets; each replica has the same."""

    def __init__(self) -> None:
        self.ms = 1_760_000_000_000

    def __call__(self) -> int:
        return self.ms


@dataclass
class Two:
    """Two replicas of the edge that share a log and a store. Time goes by for those that are awake."""

    now: Now
    first: Edge
    second: Edge

    async def pass_time(self, duration_ms: int, *awake: Edge) -> None:
        end_ms = self.now.ms + duration_ms
        while self.now.ms < end_ms:
            self.now.ms = min(end_ms, self.now.ms + 1_000)
            await asyncio.gather(*(replica.ingest.sweep.once(self.now.ms) for replica in awake))

    async def until_over(self) -> None:
        """Wait for the ends that are under way."""
        for replica in (self.first, self.second):
            await until(lambda replica=replica: not replica.ingest.streams.endings.tasks)  # type: ignore[misc]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with contextlib.AsyncExitStack() as stack:
        log, store = LocalLog(tmp_path / "log.sqlite"), SqliteStore(tmp_path / "store.sqlite")
        auth, now = Auth(SECRET, hasher=CHEAP), Now()
        for part in (log, store):
            await part.start()
            stack.push_async_callback(part.stop)
        await furnish(store, auth)
        replicas = []
        for _ in range(2):
            settings = Settings(rapt_data=tmp_path)
            ingest = build_app(settings, log, store, auth, Metrics(), now_ms=now, totals_limit_s=0.01, owner_limit_s=60)
            http = HttpServer(ingest.asgi, "127.0.0.1", 0)
            await http.start()
            stack.push_async_callback(http.stop)
            replica = Edge(ingest, http, log, log, store, auth)
            await start_without_sweep(ingest)
            stack.push_async_callback(replica.close_clients)
            stack.push_async_callback(ingest.stop)
            replicas.append(replica)
        yield Two(now, *replicas)


async def start_without_sweep(ingest: Ingest) -> None:
    """The test says when time goes by, and for whom."""

    async def never() -> None: ...

    ingest.sweep.run = never  # type: ignore[method-assign]
    await ingest.start()


async def test_two_replicas_that_see_the_same_orphan_end_it_once(two: Two) -> None:
    async with Reader(two.first.log, [FRAMES]) as log:
        for number in range(20):
            await two.first.session(
                f"s-{number}", state="live", connection="dead", started_at_ms=two.now.ms, seen_at_ms=two.now.ms
            )
        await two.pass_time(IDLE_MS * 3 // 2 + 6_000, two.first, two.second)
        await two.until_over()
        documents = [await two.first.document(f"s-{number}") for number in range(20)]
    assert {(each["state"], each["end_reason"]) for each in documents} == {("ended", "idle")}
    assert sorted(record.key for record in log.of("end")) == sorted(f"s-{number}" for number in range(20))


async def test_a_replica_that_slept_ends_no_session_that_went_on_elsewhere(two: Two) -> None:
    async with Reader(two.first.log, [FRAMES]) as log:
        session_id = await two.first.session()
        await two.first.started(session_id)
        client = await two.second.started(session_id)
        for seq in range(1024, 1024 + 4):
            await two.pass_time(IDLE_MS // 2, two.second)
            await client.frame(seq)
            await until(lambda seq=seq: client.acked == seq)  # type: ignore[misc]
        await two.pass_time(IDLE_MS, two.first, two.second)
        await two.until_over()
        await two.first.until_ended(session_id)
    assert len(log.of("end")) == 1
    assert SessionEnd.decode(log.of("end")[0].value).last_seq == 1027


async def test_a_replica_that_slept_acknowledges_nothing_of_a_session_that_ended_meanwhile(two: Two) -> None:
    async with Reader(two.first.log, [FRAMES]) as log:
        session_id = await two.first.session()
        client = await two.first.started(session_id)
        await client.frame(0)
        await until(lambda: client.acked == 0)
        await two.pass_time(IDLE_MS * 2, two.second)
        await two.until_over()
        assert len(log.of("end")) == 1
        await client.frame(1)  # it wakes up: this goes into the log behind the end, where nobody reads it
        assert await client.until_closed() == 4410
    assert client.acked == 0
    assert len(log.of("end")) == 1


async def test_a_replica_that_slept_goes_on_with_what_is_still_its_own(two: Two) -> None:
    session_id = await two.first.session()
    client = await two.first.started(session_id)
    await two.pass_time(IDLE_MS, two.second)
    await two.first.ingest.sweep.once(two.now.ms)
    await client.frame(0)
    await until(lambda: client.acked == 0)
    assert (await two.first.document(session_id))["seen_at_ms"] == two.now.ms


async def test_a_session_asked_to_end_is_ended_by_whoever_streams_it(two: Two) -> None:
    async with Reader(two.first.log, [FRAMES]) as log:
        session_id = await two.first.session()
        client = await two.first.started(session_id)
        await client.frame(0)
        await until(lambda: client.acked == 0)
        ending = asyncio.create_task(two.second.ingest.streams.end(session_id, "api"))
        while (await two.first.document(session_id)).get("end_asked") is None:
            await asyncio.sleep(0.005)
        await client.frame(1)
        await until(lambda: client.acked == 1)
        await two.pass_time(1_000, two.first)
        ended = await ending
        assert await client.until_closed() == 4410
    assert ended is not None
    assert ended["end_reason"] == "api"
    [end] = log.of("end")
    assert SessionEnd.decode(end.value).last_seq == 1


@pytest.mark.parametrize("said", [True, False])
async def test_an_end_that_was_half_said_is_said_again(two: Two, said: bool) -> None:
    """Its replica died between the claim and the log, or between the log and the store."""
    async with Reader(two.first.log, [FRAMES]) as log:
        session_id = await two.first.session()
        client = await two.first.started(session_id)
        await client.frame(0)
        await until(lambda: client.acked == 0)
        document = await two.first.document(session_id)
        claims = two.first.ingest.streams.sessions
        assert await claims.claim_end(document, "client", "dead", two.now.ms + 30_000, {}) is not None
        if said:
            end = SessionEnd(session_id=session_id, reason="client", ended_at_ms=two.now.ms, last_seq=0)
            headers = {**log.of("frame")[0].headers, "kind": "end"}
            await (await two.first.log.send(FRAMES, session_id, end.encode(), headers))
        late = await two.second.stream(session_id)
        await late.say(**start_message())
        assert await late.until_closed() == 4410  # nothing may come behind the end
        await two.pass_time(IDLE_MS * 3 // 2 + 10_000, two.second)
        await two.until_over()
        document = await two.first.until_ended(session_id)
    assert document["end_reason"] == "client"
    assert len(log.of("end")) == (2 if said else 1)
    assert {SessionEnd.decode(each.value).reason for each in log.of("end")} == {"client"}


async def test_the_claim_of_an_end_that_waits_for_the_log_is_kept(two: Two) -> None:
    session_id = await two.first.session()
    client = await two.first.started(session_id)
    gate = asyncio.Event()
    stream = two.first.ingest.streams.get(session_id)
    assert stream is not None
    record = stream.publisher.record

    async def waiting(headers: dict[str, str], value: bytes) -> None:
        await gate.wait()
        await record(headers, value)

    stream.publisher.record = waiting  # type: ignore[method-assign, assignment]
    async with Reader(two.first.log, [FRAMES]) as log:
        await client.say(type="stop_video_session")
        while (await two.first.document(session_id)).get("ending_by") is None:
            await asyncio.sleep(0.005)
        await two.pass_time(IDLE_MS * 3, two.first, two.second)
        assert log.of("end") == []
        gate.set()
        await two.first.until_ended(session_id)
        await two.until_over()
    assert len(log.of("end")) == 1


async def test_a_session_is_not_idle_while_the_log_is_away(two: Two) -> None:
    session_id = await two.first.session()
    client = await two.first.started(session_id)
    stream = two.first.ingest.streams.get(session_id)
    assert stream is not None
    gate = asyncio.Event()
    send = two.first.log.send

    async def waiting(*args: object, **kwargs: object) -> object:
        await gate.wait()
        return await send(*args, **kwargs)  # type: ignore[arg-type]

    two.first.log.send = waiting  # type: ignore[method-assign, assignment]
    await client.frame(0)
    await until(lambda: stream.publisher.outstanding == 1)
    await two.pass_time(IDLE_MS * 3, two.first, two.second)
    assert (await two.first.document(session_id))["state"] == "live"
    gate.set()
    await until(lambda: client.acked == 0)
    assert (await two.first.document(session_id)).get("end_asked") is None


async def test_a_client_that_stops_while_the_store_is_away_is_ended_once_it_is_back(two: Two) -> None:
    session_id = await two.first.session()
    client = await two.first.started(session_id)
    update = two.first.store.update

    async def away(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    two.first.store.update = away  # type: ignore[method-assign, assignment]
    await client.say(type="stop_video_session")
    stream = two.first.ingest.streams.get(session_id)
    assert stream is not None
    await until(lambda: stream.ending)
    two.first.store.update = update  # type: ignore[method-assign]
    assert (await two.first.until_ended(session_id))["end_reason"] == "client"
    assert await client.until_closed() == 1000


async def test_a_replica_that_slept_waits_for_the_store_before_it_acknowledges(two: Two) -> None:
    session_id = await two.first.session()
    client = await two.first.started(session_id)
    sessions = two.first.ingest.streams.sessions
    seen = sessions.seen

    async def away(*_: object) -> bool:
        raise StoreUnavailable("the disk is full")

    sessions.seen = away  # type: ignore[method-assign, assignment]
    two.now.ms += 10_000
    async with Reader(two.first.log, [FRAMES]) as log:
        await client.frame(0)
        await until(lambda: log.seqs == [0] and "unavailable" in client.codes())
    assert client.acked == -1
    sessions.seen = seen  # type: ignore[method-assign]
    await until(lambda: client.acked == 0)


async def test_the_older_of_two_sockets_on_two_replicas_cannot_overtake_and_is_closed(two: Two) -> None:
    async with Reader(two.first.log, [FRAMES]) as log:
        session_id = await two.first.session()
        older = await two.first.started(session_id)
        await older.frame(0)
        await until(lambda: older.acked == 0)
        newer = await two.second.stream(session_id)
        assert (await newer.start())["resumeFromSeq"] == 1024
        await newer.frame(1024)
        await until(lambda: newer.acked == 1024)
        await older.frame(1)  # below the newer one's: readers pass it over
        await until(lambda: older.acked == 1)
        await older.frame(1025)  # would need numbers, which only the newer one gets
        assert await older.until_closed() == 4409
        assert older.codes()[-1] == "replaced"
        await newer.frame(1025)
        await until(lambda: newer.acked == 1025)
    assert log.seqs == [0, 1024, 1, 1025]
    assert older.acked == 1


async def test_readers_take_a_second_end_for_nothing(tmp_path: Path) -> None:
    log, settings, metrics = LocalLog(tmp_path / "log.sqlite"), Settings(rapt_data=tmp_path), Metrics()
    await log.start()
    analyzer, recorder = build_analyzer(settings, log, metrics), build_recorder(settings, log, metrics)
    services = (analyzer, recorder)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(log.close)
        for service in services:
            await service.start()
            stack.push_async_callback(service.stop)
        said = await stack.enter_async_context(Reader(log, [STATUS, RECORDINGS, PREDICTIONS, DEAD_LETTERS]))

        async def publish(kind: str, seq: int, value: bytes) -> None:
            await (await log.send(FRAMES, "s-1", value, headers_of(kind, seq)))

        async def until_all_is_done() -> None:
            for service in services:
                while sum((await service._consumer.lag()).values()):
                    await asyncio.sleep(0.01)

        await publish("start", 0, start_of().encode())
        for seq in range(10):
            await publish("frame", seq, numbered_jpeg(seq))
        await publish("end", 9, end_of().encode())
        await until_all_is_done()
        first = [(record.topic, record.value) for record in said.records]
        for _ in range(2):
            await publish("end", 9, end_of().encode())
        await until_all_is_done()
        await (await log.send(DEAD_LETTERS, "s-1", b"the last word"))
        await until(lambda: said.records[-1].value == b"the last word")
    assert [topic for topic, _ in first].count(STATUS.name) >= 1
    assert RecordingEvent.decode([value for topic, value in first if topic == RECORDINGS.name][-1]).kind == "completed"
    assert [(record.topic, record.value) for record in said.records[:-1]] == first
