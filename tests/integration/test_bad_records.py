"""Records that nobody should send, on every topic: a dead letter with the reason, and whatever comes behind goes on.

The real services read them, from the local log and from Kafka. Faces are not looked for: the pictures are bars.
"""

import asyncio
import contextlib
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="the recorder's extra is not installed")

import aiokafka.codec
import httpx
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray

from schemas import examples
from schemas.base import Contract
from schemas.events import FrameMetrics, RecordingEvent
from schemas.topics import (
    CONTROL,
    DEAD_LETTERS,
    FRAMES,
    LANDMARKS,
    METRICS,
    PREDICTIONS,
    PREVIEWS,
    RECORDINGS,
    SIGNALS,
    STATUS,
)
from services.analyzer.app import build_app as build_analyzer
from services.analyzer.domain.faces import Region
from services.analyzer.vision.port import Picture
from services.recorder.app import build_app as build_recorder
from services.runtime.log import EventLog, Record, TopicPartition
from services.runtime.log.kafka import KafkaLog
from services.runtime.log.local import LocalLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store.sqlite import SqliteStore
from services.sink.app import build_app as build_sink
from tests.support.bad_records import (
    CASE,
    OTHER,
    Case,
    bad_events,
    bad_frames,
    bad_results,
    bad_snapshots,
    of_session,
)
from tests.support.edge import edge, session_document
from tests.support.kafka import KafkaNode
from tests.support.log_reader import until
from tests.support.raw_records import LocalRaw, Raw, kafka_raw
from tests.support.recordings import end_of, headers_of, numbered_jpeg, start_of


class NoFaces:
    """Sees nobody."""

    def detect(self, picture: Picture) -> list[Region]:
        return []

    def landmarks(self, picture: Picture, region: Region) -> NDArray[Any] | None:
        return None

    def close(self) -> None: ...


class Letters:
    """The dead letters of the cases: (case, group) → errors."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        self.records += [record for record in records if CASE in record.headers]

    def errors(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for record in self.records:
            found.setdefault((record.headers[CASE], record.headers["group"]), []).append(record.headers["error"])
        return found


class Seen(Letters):
    """And what the analyzer and the recorder said."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[Record] = []

    async def handle(self, records: Sequence[Record]) -> None:
        await super().handle(records)
        self._said += [record for record in records if record.topic != DEAD_LETTERS.name]

    def seqs(self, session_id: str) -> list[int]:
        """Of the metrics, each once."""
        mine = [each for each in self._said if each.topic == METRICS.name and each.key == session_id]
        return sorted({FrameMetrics.decode(record.value).seq for record in mine})

    def recording(self, session_id: str) -> RecordingEvent | None:
        """How it ended."""
        mine = [each for each in self._said if each.topic == RECORDINGS.name and each.key == session_id]
        events = [RecordingEvent.decode(record.value) for record in mine]
        return next((event for event in events if event.kind not in ("started", "segment")), None)


@dataclass
class Place:
    """A log with what writes to it as others might."""

    log: EventLog
    raw: Raw
    session_id: str

    async def put(self, case: Case) -> None:
        await self.raw.put(case.topic, case.key, case.value, {**case.headers, CASE: case.name})


@pytest.fixture(params=["local", "kafka"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    session_id = f"s-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        if request.param == "local":
            local = LocalLog(tmp_path / "log.sqlite")
            log: EventLog = local
            raw: Raw = LocalRaw(local)
        else:
            bootstrap = request.getfixturevalue("kafka").bootstrap
            log = KafkaLog(bootstrap)
            raw = await stack.enter_async_context(kafka_raw(bootstrap))
        await log.start()
        stack.push_async_callback(log.close)
        yield Place(log, raw, session_id)


SINK_TOPICS = (METRICS, STATUS, PREDICTIONS, SIGNALS, RECORDINGS)
STORED = {  # collection of the good record, and its _id within its session
    METRICS.name: ("metrics", "{}:17"),
    STATUS.name: ("status", "{}:17"),
    PREDICTIONS.name: ("predictions", "{}:0"),
    SIGNALS.name: ("signals", "{}:heart_rate:1760000001000"),
    RECORDINGS.name: ("recordings", "r-of-{}"),
}


async def test_what_the_sink_cannot_store_is_buried_and_the_rest_is_stored(place: Place, tmp_path: Path) -> None:
    cases = [case for topic in SINK_TOPICS for case in bad_events(topic, place.session_id)]
    store, metrics, letters = SqliteStore(tmp_path / "store.sqlite"), Metrics(), Letters()
    await store.start()
    reader = place.log.consumer([DEAD_LETTERS], letters, group=None)
    await reader.start()
    sink = build_sink(Settings(rapt_data=tmp_path), place.log, store, metrics)
    await sink.start()
    try:
        for case in cases:
            await place.put(case)
        for topic in SINK_TOPICS:  # as another producer sends it: with neither schema nor session in its headers
            assert isinstance(topic.example, Contract)
            changes = {"session_id": place.session_id}
            if topic is RECORDINGS:
                changes["recording_id"] = STORED[topic.name][1].format(place.session_id)
            await place.raw.put(topic, place.session_id, topic.example.model_copy(update=changes).encode(), {})
        for topic in SINK_TOPICS:
            collection, key = STORED[topic.name]
            async with asyncio.timeout(60):
                while await store.get(collection, key.format(place.session_id)) is None:
                    await asyncio.sleep(0.01)
        await until(lambda: len(letters.errors()) == len(cases), "a letter for each case")
        wrong = mismatches(cases, letters)
        assert not wrong
        assert await store.count("metrics", {"session_id": OTHER}) == 0
    finally:
        await sink.stop()
        await reader.stop()
        await store.close()


async def test_what_only_another_client_of_kafka_can_send(
    kafka: KafkaNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressed in a way that is not installed here, keys and headers that are no text, headers without a value."""
    session_id = f"s-{uuid.uuid4().hex[:8]}"
    kafka.start()
    log, store, letters = KafkaLog(kafka.bootstrap), SqliteStore(tmp_path / "store.sqlite"), Letters()
    await log.start()
    await store.start()
    good = of_session(examples.SIGNAL, session_id)
    key = session_id.encode()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, compression_type="gzip")
    await producer.start()
    reader = log.consumer([DEAD_LETTERS], letters, group=None)
    sink = build_sink(Settings(rapt_data=tmp_path), log, store, Metrics())
    try:
        await reader.start()
        await producer.send_and_wait(SIGNALS.name, good, b"\xff\xfe", headers=[(CASE, b"key")])
        await producer.send_and_wait(SIGNALS.name, None, key, headers=[(CASE, b"value")])
        await producer.send_and_wait(SIGNALS.name, good, key, headers=[("schema", None), (CASE, b"null")])
        await producer.send_and_wait(SIGNALS.name, good, key, headers=[("epoch", b"\xff"), (CASE, b"header")])
        await producer.send_and_wait(SIGNALS.name, good * 100, key, headers=[(CASE, b"compressed")])
        await producer.send_and_wait(SIGNALS.name, good, key, headers=[("note", None)])
        monkeypatch.setattr(aiokafka.codec, "has_gzip", lambda: False)
        await sink.start()
        async with asyncio.timeout(60):
            while not await store.count("signals", {"session_id": session_id}):
                await asyncio.sleep(0.02)
        await until(lambda: len(letters.errors()) == 5, "five letters")
    finally:
        await sink.stop()
        await reader.stop()
        await producer.stop()
        await store.close()
        await log.close()
    errors = {case: "; ".join(found) for (case, _), found in letters.errors().items()}
    assert errors["key"].startswith("the key is '\ufffd\ufffd'; wanted")
    assert errors["value"] == "the value is empty; wanted JSON"
    assert errors["null"] == "header schema is ''; wanted signals.v1"
    assert errors["header"].startswith("header epoch is '\ufffd'")
    assert "trailing characters" in errors["compressed"]


GOOD_SEQS = [0, 1, *range(10, 15)]


async def test_what_is_no_frame_is_buried_and_its_session_goes_on(place: Place, tmp_path: Path) -> None:
    session_id, metrics, seen = place.session_id, Metrics(), Seen()
    frames, snapshots = bad_frames(session_id), bad_snapshots(session_id)
    reader = place.log.consumer([DEAD_LETTERS, METRICS, RECORDINGS], seen, group=None)
    await reader.start()
    settings = Settings(rapt_data=tmp_path, graceful_timeout_s=4.0)
    recorder = build_recorder(settings, place.log, metrics)
    analyzer = build_analyzer(settings, place.log, metrics, open_faces=NoFaces)

    async def put(kind: str, seq: int, value: bytes) -> None:
        await place.raw.put(FRAMES, session_id, value, headers_of(kind, seq, session_id))

    for case in snapshots:
        await place.put(case)
    await recorder.start()
    await analyzer.start()
    try:
        await put("start", 0, start_of(session_id).encode())
        for seq in GOOD_SEQS[:2]:
            await put("frame", seq, numbered_jpeg(seq))
        for case in frames:
            await place.put(case)
        for seq in GOOD_SEQS[2:]:
            await put("frame", seq, numbered_jpeg(seq))
        await put("end", GOOD_SEQS[-1], end_of(session_id).encode())
        await until(lambda: seen.recording(session_id) is not None, "the recording's end")
        await until(lambda: seen.seqs(session_id) == GOOD_SEQS, "metrics of the good frames")
        wanted = len(snapshots) + 2 * len(frames)
        with contextlib.suppress(pytest.fail.Exception):  # the comparison below says which are missing
            await until(lambda: len(seen.errors()) >= wanted)
        wrong = mismatches([*frames, *snapshots], seen)
        assert not wrong
    finally:
        await analyzer.stop()
        await recorder.stop()
        await reader.stop()
    event = seen.recording(session_id)
    assert event is not None
    assert (event.kind, event.frame_count, event.last_seq) == ("completed", len(GOOD_SEQS), GOOD_SEQS[-1])
    assert seen.seqs(OTHER) == []
    assert seen.recording(OTHER) is None
    assert not [path for path in tmp_path.parent.glob("x*") if path != tmp_path]


async def test_a_frame_sent_again_from_its_letter_is_taken_for_a_copy(place: Place, tmp_path: Path) -> None:
    session_id, metrics, seen = place.session_id, Metrics(), Seen()
    reader = place.log.consumer([METRICS, RECORDINGS], seen, group=None)
    await reader.start()
    settings = Settings(rapt_data=tmp_path, graceful_timeout_s=4.0)
    recorder = build_recorder(settings, place.log, metrics)
    analyzer = build_analyzer(settings, place.log, metrics, open_faces=NoFaces)

    async def put(kind: str, seq: int, value: bytes, **more: str) -> None:
        await place.raw.put(FRAMES, session_id, value, {**headers_of(kind, seq, session_id), **more})

    await recorder.start()
    await analyzer.start()
    try:
        await put("start", 0, start_of(session_id).encode())
        for seq in (0, 2):  # 1 was buried meanwhile
            await put("frame", seq, numbered_jpeg(seq))
        await put("frame", 1, numbered_jpeg(1), retries="1")
        await put("frame", 3, numbered_jpeg(3))
        await put("end", 3, end_of(session_id).encode())
        await until(lambda: seen.recording(session_id) is not None, "the recording's end")
        await until(lambda: seen.seqs(session_id) == [0, 2, 3], "metrics of the others")
    finally:
        await analyzer.stop()
        await recorder.stop()
        await reader.stop()
    event = seen.recording(session_id)
    assert event is not None
    assert (event.kind, event.frame_count) == ("completed", 3)


async def test_what_no_page_can_be_shown_is_passed_over_and_counted(place: Place, tmp_path: Path) -> None:
    session_id = place.session_id
    cases = bad_results(session_id)
    async with edge(tmp_path / "edge", before_log=lambda _: place.log) as running:
        await running.store.insert("sessions", session_document(session_id))
        page = await running.started(session_id, landmarks=True)
        watcher = await running.client(
            f"/api/lectures/PHYS-101/live?token={running.access('instructor', 'instructor')}"
        )
        await until(lambda: any(message["sessions"] for message in watcher.of("roster")), "the session on the roster")
        await until(lambda: bool(page.of("recording") and page.of("engagement_status_update")), "how it stands")
        before = len(page.messages), len(page.binary)
        for case in cases:
            await place.put(case)
        wanted = Counter(case.topic.name for case in cases)
        async with asyncio.timeout(60):
            while (counted := await passed_over(running.http.url)).total() < wanted.total():
                await asyncio.sleep(0.05)
        assert counted == wanted
        assert (len(page.messages), len(page.binary)) == before
        past = examples.STATUS.model_copy(update={"state": "drowsy"})
        await place.raw.put(STATUS, session_id, of_session(past, session_id), {"retries": "1"})
        await place.raw.put(STATUS, session_id, of_session(examples.STATUS, session_id), {})
        await place.raw.put(LANDMARKS, session_id, examples.LANDMARKS, {"seq": "3"})
        await place.raw.put(PREVIEWS, session_id, examples.JPEG, {})
        await place.raw.put(CONTROL, "PHYS-101", examples.CONTROL.encode(), {})
        await until(lambda: bool(page.of("status") and page.binary), "the good ones on the page")
        assert [message["data"]["state"] for message in page.of("status")] == ["engaged"]
        await until(lambda: len(watcher.binary) == 1, "the preview for the teacher")
        await until(lambda: len(page.of("engagement_status_update")) == 2, "the switch")


async def passed_over(url: str) -> Counter[str]:
    """What the edge's metrics say: topic → records."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).text
    found = re.findall(r'rapt_results_passed_over_total\{topic="([a-z-]+)"\} ([0-9]+)', text)
    return Counter({topic: int(count) for topic, count in found})


def mismatches(cases: Sequence[Case], letters: Letters) -> dict[tuple[str, str], list[str]]:
    """Letters that are missing, or say something else; by case and group."""
    found, wrong = letters.errors(), {}
    for case in cases:
        for group in case.groups:
            errors = found.get((case.name, group), [])
            if not errors or not all(case.reason in error for error in errors):
                wrong[case.name, group] = [case.reason, *errors]
    return wrong
