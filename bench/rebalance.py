"""An analyzer replica more, and one less, while sessions stream: how long each session's results stall, on Kafka."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol

from bench.feed import Feed
from bench.frames import FPS, drawn_frames
from bench.replicas import one_session_per_partition
from bench.result import Claim
from schemas.topics import FRAMES, METRICS
from services.runtime.clock import now_ms
from services.runtime.log import Record, TopicPartition
from services.runtime.log.connection import Connection
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.partitions import partition_of
from services.runtime.log.topics import ensure_topics
from tests.support.kafka import kafka_node
from tests.support.processes import RaptProcess

GROUP = "analyzer"
WITHIN_S = 60.0
CALM_MS = 8_000
STALL_OF_OTHERS_S, STALL_OF_MOVED_S = 1.0, 5.0

Owners = Mapping[int, str]  # partition → member


def run() -> list[Claim]:
    with tempfile.TemporaryDirectory() as folder, kafka_node() as kafka:
        asyncio.run(ensure_topics(Connection(kafka.bootstrap)))
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "LOG_LEVEL": "warning"}
        replicas = [RaptProcess("analyzer", Path(folder) / f"data-{number}", environment) for number in range(2)]
        try:
            replicas[0].start()
            return asyncio.run(_measure(kafka.bootstrap, replicas[1]))
        finally:
            for replica in replicas:
                replica.terminate()


async def _measure(bootstrap: str, second: RaptProcess) -> list[Claim]:
    log, sessions, times = KafkaLog(bootstrap), one_session_per_partition(), Times()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await log.start()
    await admin.start()
    reader = log.consumer([METRICS], times, group=None)
    await reader.start()
    feed = Feed(log, sessions, lambda session: drawn_frames(seed=session % 4 + 1))
    await feed.start()
    streaming = asyncio.create_task(_stream(feed))
    claims = []
    await _until(lambda: times.all_since(sessions, 0), "the first results")
    calm_since_ms = now_ms() + 1000
    await _until(lambda: times.all_since(sessions, calm_since_ms + CALM_MS), "results without a change")
    calm_s = max(times.stall_s(each, calm_since_ms) for each in sessions)
    for what, change, members in (("added", second.start, 2), ("removed", second.terminate, 1)):
        before, began_ms = await _owners(admin), now_ms()
        await asyncio.to_thread(change)
        after = await _shared_by(admin, members)
        done_ms = now_ms()
        await _until(lambda since=done_ms: times.all_since(sessions, since), "results of all")  # type: ignore[misc]
        moved = {number for number in after if after[number] != before[number]}
        claims += _claims(what, moved, {each: times.stall_s(each, began_ms) for each in sessions}, calm_s)
    streaming.cancel()
    await reader.stop()
    await admin.close()
    await log.close()
    return claims


def _claims(what: str, moved: set[int], stalls_s: Mapping[str, float], calm_s: float) -> list[Claim]:
    parts: dict[bool, list[float]] = {True: [], False: []}
    for session_id, stall_s in stalls_s.items():
        parts[partition_of(session_id, FRAMES.partitions) in moved].append(stall_s)
    return [
        Claim(
            f"longest stall of sessions that {verb}, a replica {what}",
            max(parts[is_moved]),
            "s",
            "at most",
            goal_s,
            f"{len(parts[is_moved])} of {len(stalls_s)} sessions",
            f"{calm_s:.2f} s without a change",
        )
        for verb, is_moved, goal_s in (("stayed", False, STALL_OF_OTHERS_S), ("moved", True, STALL_OF_MOVED_S))
    ]


class Times:
    """When the log took each session's results."""

    def __init__(self) -> None:
        self._taken_ms: dict[str, list[int]] = {}

    def all_since(self, sessions: Sequence[str], since_ms: int) -> bool:
        return all(self._taken_ms.get(each, [0])[-1] > since_ms for each in sessions)

    def stall_s(self, session_id: str, since_ms: int) -> float:
        """The longest time without a result, less the time between two frames."""
        taken_ms = [each for each in self._taken_ms[session_id] if each > since_ms - 1000]
        return max(0.0, max(b - a for a, b in pairwise(taken_ms)) / 1000 - 1 / FPS)

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            self._taken_ms.setdefault(record.key, []).append(record.timestamp_ms)

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...


async def _stream(feed: Feed) -> None:
    due_s = time.monotonic()
    while True:
        await feed.frames(1)
        due_s += 1 / FPS
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


async def _owners(admin: AIOKafkaAdminClient) -> Owners:
    """Who owns which partition of the frames, as the broker says."""
    owners: dict[int, str] = {}
    for response in await admin.describe_consumer_groups([GROUP]):
        for _, _, _, _, _, members, *_ in response.groups:
            for member_id, _, _, _, assignment in members:
                if assignment:
                    decoded = ConsumerProtocol.ASSIGNMENT.decode(assignment)
                    owners |= {each.partition: member_id for each in decoded.partitions()}
    return owners


async def _shared_by(admin: AIOKafkaAdminClient, members: int) -> Owners:
    owners: Owners = {}

    async def shared() -> bool:
        nonlocal owners
        owners = await _owners(admin)
        return len(owners) == FRAMES.partitions and len(set(owners.values())) == members

    await _until(shared, f"{members} members")
    return owners


async def _until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        held = holds()
        if held if isinstance(held, bool) else await held:
            return
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"never happened: {what}")
        await asyncio.sleep(0.02)
