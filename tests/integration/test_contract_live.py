"""What the services really send is what the contract says: every record of a session, read as strictly as can be."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from schemas.frames import FrameHeaders
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import BY_NAME, TOPICS
from services import assembly
from services.client.drawn import draw_jpeg
from services.client.options import StreamOptions
from services.client.stream import StudentClient
from services.client.timetable import Timetable
from services.runtime.lifecycle import Part, run
from services.runtime.log import EventLog, Record, TopicPartition
from services.runtime.settings import Settings
from tests.support.processes import PASSWORD

FPS = 10
FRAMES = 60
SENT_BY_NOW = {
    "frames",
    "metrics",
    "landmarks",
    "previews",
    "status",
    "recordings",
    "control",
    "analyzer-state",
    "dead-letters",
}


class Spy:
    """Reads every topic from the moment it starts; it is a part, so that it runs as long as the services do."""

    name = "spy"

    def __init__(self, log: EventLog) -> None:
        self.records: list[Record] = []
        self._consumer = log.consumer(TOPICS, self, group=None)

    async def start(self) -> None:
        await self._consumer.start()

    async def stop(self) -> None:
        await self._consumer.stop()

    async def check(self) -> None: ...

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.records.extend(records)


@pytest.mark.timeout(120)
async def test_every_record_of_a_session_keeps_the_contract(tmp_path: Path) -> None:
    settings = Settings(rapt_data=tmp_path, port=0, demo_password=PASSWORD)
    embedded = assembly.embedded(settings)
    log = next(part for part in embedded.parts if part.name == "log")
    spy = Spy(log)  # type: ignore[arg-type]
    stop, started = asyncio.Event(), asyncio.Event()
    parts: list[Part] = [embedded.parts[0], spy, *embedded.parts[1:]]
    running = asyncio.create_task(run(parts, graceful_timeout_s=10, stop=stop, on_started=started.set))
    await started.wait()
    await _use(embedded.http.url)
    stop.set()
    await running

    assert {record.topic for record in spy.records} == SENT_BY_NOW
    for record in spy.records:
        _check(record)


async def _use(url: str) -> None:
    """A student streams, one frame broken on its way; the instructor flips the switch."""
    timetable = Timetable(3, FRAMES / FPS)
    async with StudentClient(url, "student", PASSWORD, "DEMO", StreamOptions(landmarks=True)) as client:
        for number in range(FRAMES):
            jpeg = draw_jpeg(timetable.pose_at(number / FPS), grain=number)
            await client.send(jpeg if number != FRAMES // 2 else jpeg[: len(jpeg) // 2])
        async with httpx.AsyncClient(base_url=f"{url}/api") as api:
            login = await api.post("/login", json={"username": "instructor", "password": PASSWORD})
            api.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            (await api.put("/lectures/DEMO/engagement", json={"enabled": False})).raise_for_status()
        ended = await client.stop()
        assert ended is not None
        assert ended.frames == FRAMES
        while [recording.status for recording in await client.api.recordings(client.session_id)] != ["completed"]:
            await asyncio.sleep(0.05)


def _check(record: Record) -> None:
    topic = BY_NAME[record.topic]
    assert record.headers["session_id"] == record.key
    if topic.name == "dead-letters":
        assert record.headers["origin_topic"] == "frames"
        assert record.headers["error_class"]
        return
    assert record.headers["schema"] == topic.schema
    if topic.model is not None:
        # Closed as well: what a producer sends has no field that the contract does not know.
        topic.model.model_validate_json(record.value, strict=True, extra="forbid")
    elif topic.name == "frames":
        kind = FrameHeaders.decode(record.headers).kind
        if kind == "start":
            SessionStart.model_validate_json(record.value, strict=True, extra="forbid")
        elif kind == "end":
            SessionEnd.model_validate_json(record.value, strict=True, extra="forbid")
        else:
            assert record.headers["traceparent"].startswith("00-")
            assert record.value.startswith(b"\xff\xd8")
    elif topic.name == "landmarks":
        assert len(record.value) == 478 * 3 * 2
        assert int(record.headers["seq"]) < FRAMES
    elif topic.name == "previews":
        assert record.value.startswith(b"\xff\xd8")
