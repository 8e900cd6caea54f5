"""A log that is slow or stands still: credit sinks, memory stays bounded, nothing acknowledged is lost, credit comes
back."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import FRAMES
from services.client.options import StreamOptions
from services.client.stream import StudentClient
from services.ingest.protocol import Limits
from services.runtime.log.kafka import KafkaLog
from tests.integration.test_ingest_stream import HeldLog
from tests.support.edge import Reader, edge, tiny_jpeg
from tests.support.kafka import KafkaNode, kafka_node
from tests.support.log_reader import until
from tests.support.processes import PASSWORD, RaptProcess

FRAME_BYTES = 100_000
CLIENTS = 8
MEMORY_MIB = 40  # what the edge may take on top; the clients have 49 MiB under way


async def test_credit_sinks_while_frames_wait_and_comes_back(tmp_path: Path) -> None:
    limits = Limits(backlog_bytes=100_000)
    async with edge(tmp_path, before_log=HeldLog, limits=limits) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        held.hold = True
        for seq in range(50):
            await client.frame(seq, jpeg=tiny_jpeg(size_bytes=1_000))
        await until(lambda: len(held.waiting) == 50)
        held.let_go(10)
        await until(lambda: client.acked == 9)
        assert client.of("ack")[-1]["credit"] == 39  # 40 of 100 kB wait: three fifths of 64
        held.let_go(40)
        await until(lambda: client.acked == 49)
        assert client.of("ack")[-1]["credit"] == 64


async def test_a_full_backlog_is_not_read_into(tmp_path: Path) -> None:
    limits = Limits(backlog_bytes=10_000)
    async with edge(tmp_path, before_log=HeldLog, limits=limits) as running:
        held = running.front
        assert isinstance(held, HeldLog)
        client = await running.started(await running.session())
        backlog = running.ingest.streams.backlog
        most = 0
        held.hold = True
        for seq in range(30):
            await client.frame(seq, jpeg=tiny_jpeg(size_bytes=1_000))
        for _ in range(30):
            await until(lambda: bool(held.waiting))
            most = max(most, backlog.bytes)
            held.let_go(1)
        await until(lambda: client.acked == 29)
        assert most == 10_000
        assert client.codes() == []


@pytest.mark.timeout(180)
async def test_a_kafka_that_stands_still_bounds_what_the_edge_keeps(tmp_path: Path) -> None:
    with kafka_node() as kafka, _ingest(tmp_path, kafka) as ingest:
        log = KafkaLog(kafka.bootstrap)
        await log.start()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(log.close)
            frames = await stack.enter_async_context(Reader(log, [FRAMES]))
            options = StreamOptions(record=False, reconnect_for_s=120.0)
            clients = [StudentClient(ingest.url, "student", PASSWORD, "DEMO", options) for _ in range(CLIENTS)]
            for client in clients:
                await stack.enter_async_context(client)
                await client.send(tiny_jpeg())
                await client.drained()
            _forget_peak(ingest.pid)  # that of the logins
            before_mib = _peak_mib(ingest.pid)
            with _frozen(kafka):
                jpeg = tiny_jpeg(size_bytes=FRAME_BYTES)
                while not all(client.tally.skipped for client in clients):
                    for client in clients:
                        client.offer(jpeg)
                        await asyncio.sleep(0)
                await _at_rest(clients)
                acknowledged = sum(len(client.tally.acked) for client in clients)
            for client in clients:
                await client.drained()
            grown_mib = _peak_mib(ingest.pid) - before_mib
            for client in clients:
                await client.send(tiny_jpeg())
                await client.drained()
                assert client.window.credit == 64
            await until(lambda: len({record.key for record in frames.records}) == CLIENTS)
            for client in clients:
                wanted = list(client.tally.acked)
                await until(lambda client=client, wanted=wanted: _seqs(frames, client)[-1] == wanted[-1])  # type: ignore[misc]
                assert _seqs(frames, client) == wanted
                assert client.window.sent == len(wanted)
        assert acknowledged < CLIENTS * 64
        assert grown_mib < MEMORY_MIB


async def _at_rest(clients: list[StudentClient]) -> None:
    """Wait until the edge takes nothing more: what the clients have not sent stays as it is."""
    before: list[int] = []
    while (unsent := [client.window.unsent for client in clients]) != before:
        before = unsent
        await asyncio.sleep(1.0)


def _seqs(frames: Reader, client: StudentClient) -> list[int]:
    return [int(each.headers["seq"]) for each in frames.of("frame") if each.key == client.session_id]


def _peak_mib(pid: int) -> float:
    """The most memory that a process had so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def _ingest(tmp_path: Path, kafka: KafkaNode) -> Iterator[RaptProcess]:
    process = RaptProcess("ingest", tmp_path / "data", {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap})
    process.start()
    try:
        yield process
    finally:
        process.terminate()


@contextlib.contextmanager
def _frozen(kafka: KafkaNode) -> Iterator[None]:
    assert kafka._process is not None
    pid = kafka._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
