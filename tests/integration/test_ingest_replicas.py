"""Two replicas of the edge on a real Kafka: one sleeps, one dies; the session goes on, and ends once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from schemas.sessions import SessionEnd
from schemas.topics import FRAMES
from services.client.stream import StudentClient
from services.runtime.log import Record
from services.runtime.log.kafka import KafkaLog
from tests.support.edge import Reader, tiny_jpeg
from tests.support.kafka import KafkaNode, kafka_node
from tests.support.processes import PASSWORD, RaptProcess

IDLE_S = 4
FPS = 10


class Balancer:
    """Stands before the replicas as a load balancer does: passes bytes to the one it is pointed at."""

    def __init__(self, url: str) -> None:
        self.target = url
        self.url = ""
        self._ways: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.switch(self.target)

    async def switch(self, url: str) -> None:
        """Send whoever comes from now on there, and cut the connections that are."""
        self.target = url
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ways.add(task)
        out = None
        try:
            address = urlsplit(self.target)
            back, out = await asyncio.open_connection(address.hostname, address.port)
            copies = {asyncio.ensure_future(_copy(reader, out)), asyncio.ensure_future(_copy(back, writer))}
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # whoever was connected sees it and comes back
        finally:
            self._ways.discard(task)
            for each in (writer, out):
                if each is not None:
                    each.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()


class Replicas:
    def __init__(self, data: Path, kafka: KafkaNode) -> None:
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "SESSION_IDLE_TIMEOUT_S": str(IDLE_S)}
        self.first, self.second = (RaptProcess("ingest", data, environment) for _ in range(2))
        self.second.output = data.parent / "ingest-2.log"


@asynccontextmanager
async def two_replicas(tmp_path: Path) -> AsyncIterator[tuple[Replicas, Reader, Balancer]]:
    """Both replicas, all that the log gets of `frames`, and the way in, to the first one."""
    with kafka_node() as kafka:
        rapt = Replicas(tmp_path / "data", kafka)
        log = KafkaLog(kafka.bootstrap)
        try:
            for process in (rapt.first, rapt.second):
                await asyncio.to_thread(process.start)
            await log.start()
            async with Reader(log, [FRAMES]) as frames, Balancer(rapt.first.url) as way:
                yield rapt, frames, way
        finally:
            await log.close()
            for process in (rapt.first, rapt.second):
                process.kill()


@pytest.mark.timeout(150)
async def test_a_replica_that_sleeps_and_wakes_loses_nothing_and_ends_nothing(tmp_path: Path) -> None:
    async with two_replicas(tmp_path) as (rapt, log, way):
        async with StudentClient(way.url, "student", PASSWORD, "DEMO") as client:
            await stream(client, 2.0)
            os.kill(rapt.first.pid, signal.SIGSTOP)
            await stream(client, 0.5)  # what is on its way to the one that sleeps
            await way.switch(rapt.second.url)
            await stream(client, 2 * IDLE_S)
            os.kill(rapt.first.pid, signal.SIGCONT)
            await stream(client, 3.0)
            await client.drained()
            await client.stop()
            acknowledged = list(client.tally.acked)
        await asyncio.to_thread(rapt.first.terminate)  # whatever it still had has come out now
        await until_read(log, client.session_id)
    assert client.window.sent == len(acknowledged)
    of_session = [record for record in log.records if record.key == client.session_id]
    assert [record.headers["seq"] for record in first_of_each(of_session)] == [str(seq) for seq in acknowledged]
    ends = [record for record in of_session if record.headers["kind"] == "end"]
    assert [SessionEnd.decode(end.value).reason for end in ends] == ["client"]
    behind = of_session[of_session.index(ends[0]) + 1 :]
    assert [record.headers["kind"] for record in behind if int(record.headers["seq"]) > acknowledged[-1]] == []


@pytest.mark.timeout(150)
async def test_the_sessions_of_a_replica_that_died_with_its_clients_end_once(tmp_path: Path) -> None:
    async with two_replicas(tmp_path) as (rapt, log, way):
        sessions = []
        for _ in range(3):
            async with StudentClient(way.url, "student", PASSWORD, "DEMO") as client:
                await stream(client, 0.5)
                await client.drained()
                sessions.append(client.session_id)
        await asyncio.to_thread(rapt.first.kill)
        await asyncio.to_thread(rapt.first.start)  # from here on both see the orphans
        async with StudentClient(rapt.second.url, "student", PASSWORD, "DEMO") as client:
            while {(await client.api.session(each)).state for each in sessions} != {"ended"}:
                await stream(client, 0.5)
            reasons = [(await client.api.session(each)).end_reason for each in sessions]
            await client.stop()
            await until_read(log, client.session_id)
    assert reasons == ["idle"] * 3
    ends = [record for record in log.of("end") if record.key in sessions]
    assert sorted(record.key for record in ends) == sorted(sessions)


async def stream(client: StudentClient, seconds: float) -> None:
    """As a camera does: a frame each tenth of a second."""
    begun_s = asyncio.get_running_loop().time()
    for number in range(int(seconds * FPS)):
        await asyncio.sleep(max(0.0, begun_s + number / FPS - asyncio.get_running_loop().time()))
        client.offer(tiny_jpeg(size_bytes=10_000))


async def until_read(log: Reader, session_id: str) -> None:
    """Wait for the session's end: nothing that was sent before it comes after it."""
    while not any(record.key == session_id for record in log.of("end")):
        await asyncio.sleep(0.05)


def first_of_each(records: Iterable[Record]) -> list[Record]:
    """The frames as every consumer takes them: whose number is not above all before is passed over."""
    taken: list[Record] = []
    for record in records:
        if record.headers["kind"] == "frame" and (
            not taken or int(record.headers["seq"]) > int(taken[-1].headers["seq"])
        ):
            taken.append(record)
    return taken
