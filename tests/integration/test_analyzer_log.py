"""The analyzer on a real log: restarts at any moment, bad records, thinning, ends. Faces are made up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas import examples
from schemas.events import FrameMetrics, Prediction, SessionTotals, StatusChanged
from schemas.frames import FrameHeaders
from schemas.sessions import Consent, EndReason, SessionEnd, SessionStart
from schemas.topics import ANALYZER_STATE, DEAD_LETTERS, FRAMES, METRICS, PREDICTIONS, PREVIEWS, STATUS, Topic
from services.analyzer.app import Analyzer, build_app
from services.analyzer.domain.faces import Region
from services.analyzer.domain.prediction import Guess
from services.analyzer.domain.windows import Features
from services.analyzer.predict import Predictors
from services.analyzer.predictors.port import PredictionFailed
from services.analyzer.vision.port import FaceVision, Picture
from services.runtime.clock import now_ms
from services.runtime.lifecycle import StartFailed
from services.runtime.log import Consumer, EventLog, LogUnavailable, Position, Record
from services.runtime.log.local import LocalLog
from services.runtime.log.partitions import partition_of
from services.runtime.metrics import Metrics
from services.runtime.settings import load_settings
from tests.support.faces import face

FACES = {
    "open": face(),
    "shut": face(ear=0.06),
    "yawn": face(ear=0.25, mar=0.9),
}
LEVELS = {"open": 250, "shut": 150, "yawn": 50}  # grey of the frame's upper left corner


def drawn(act: str) -> bytes:
    image = np.random.default_rng(1).integers(140, 200, (240, 320, 3), np.uint8)
    image[::40], image[:, ::40] = 20, 20  # lines as sharp as lashes
    image[:32, :32] = LEVELS[act]
    return cv2.imencode(".jpg", image)[1].tobytes()


PICTURES = {act: drawn(act) for act in FACES}


class CornerFaces:
    """Reads from the frame's corner what it shows."""

    def detect(self, picture: Picture) -> list[Region]:
        return [Region(160, 120, 120)]

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32] | None:
        level = picture.rgb[4:12, 4:12].mean()
        return FACES[min(LEVELS, key=lambda act: abs(LEVELS[act] - level))]

    def close(self) -> None: ...


class Reader:
    """Keeps all that comes on some topics; `until` waits for a condition over it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._more = asyncio.Condition()

    async def assigned(self, partitions: object, epoch: int) -> None: ...

    async def revoked(self, partitions: object) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        async with self._more:
            self.records += records
            self._more.notify_all()

    def on(self, topic: Topic) -> list[Record]:
        return [record for record in self.records if record.topic == topic.name]

    def metrics(self, session_id: str = "s") -> dict[int, FrameMetrics]:
        """By seq, the last one counts: that is how the store keeps them."""
        found = (FrameMetrics.decode(record.value) for record in self.on(METRICS) if record.key == session_id)
        return {metrics.seq: metrics for metrics in found}

    def totals(self, session_id: str = "s") -> SessionTotals | None:
        found = [StatusChanged.decode(record.value) for record in self.on(STATUS) if record.key == session_id]
        return next((status.totals for status in reversed(found) if status.totals), None)

    def predictions(self) -> dict[int, set[bytes]]:
        """What was ever written of each window."""
        found: dict[int, set[bytes]] = {}
        for record in self.on(PREDICTIONS):
            found.setdefault(Prediction.decode(record.value).window, set()).add(record.value)
        return found

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(condition)


class DyingLog:
    """A log whose user dies after so many sends: nothing it does then has an effect any more, as after kill -9."""

    name = "log"

    def __init__(self, log: LocalLog, sends: int) -> None:
        self._log = log
        self.left = sends
        self.dead = asyncio.Event()

    async def send(
        self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[Position]:
        if self.left <= 0:
            self.dead.set()
            return asyncio.get_running_loop().create_future()
        self.left -= 1
        return await self._log.send(topic, key, value, headers)

    def consumer(self, *args: Any, **kwargs: Any) -> Consumer:
        consumer = self._log.consumer(*args, **kwargs)
        finish = consumer.finish
        consumer.finish = lambda record: None if self.dead.is_set() else finish(record)  # type: ignore[method-assign]
        return consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LocalLog]:
    log = LocalLog(tmp_path / "log.sqlite")
    await log.start()
    yield log
    await log.close()


@pytest.fixture
async def reader(log: LocalLog) -> AsyncIterator[Reader]:
    reader = Reader()
    consumer = log.consumer([METRICS, STATUS, PREDICTIONS, PREVIEWS, DEAD_LETTERS], reader, group=None)
    await consumer.start()
    yield reader
    await consumer.stop()


def build(
    log: EventLog, metrics: Metrics | None = None, faces: Callable[[], FaceVision] = CornerFaces, **settings: Any
) -> Analyzer:
    chosen = load_settings(**{"graceful_timeout_s": 4.0, **settings})
    return build_app(chosen, log, metrics or Metrics(), open_faces=faces)


@asynccontextmanager
async def running(analyzer: Analyzer) -> AsyncIterator[Analyzer]:
    await analyzer.start()
    try:
        yield analyzer
    finally:
        await analyzer.stop()


async def send(log: EventLog, kind: str, seq: int, value: bytes, *, session_id: str = "s", age_ms: int = 0) -> None:
    at_ms = 1_760_000_000_000 + 100 * seq
    headers = FrameHeaders(session_id, kind, seq, at_ms, now_ms() - age_ms).encode()  # type: ignore[arg-type]
    await (await log.send(FRAMES, session_id, value, headers))


async def begin(log: EventLog, *, session_id: str = "s", **changes: Any) -> None:
    start = SessionStart(
        session_id=session_id,
        student_id="student",
        lecture_code="L-1",
        started_at_ms=1_760_000_000_000,
        frame_width=320,
        frame_height=240,
        **changes,
    )
    await send(log, "start", 0, start.encode(), session_id=session_id)


async def end(log: EventLog, last_seq: int, *, session_id: str = "s", reason: EndReason = "client") -> None:
    value = SessionEnd(session_id=session_id, reason=reason, ended_at_ms=now_ms(), last_seq=last_seq).encode()
    await send(log, "end", last_seq, value, session_id=session_id)


# Four blinks of 200 ms, two yawns of 2.2 s, at 10 fps: 120 frames. The mouth springs open, so a yawn wants 2 s.
ACTS = [*["open"] * 20, *["shut", "shut", *["open"] * 8] * 4, *(["yawn"] * 22 + ["open"] * 8) * 2]


async def stream(log: EventLog, acts: Sequence[str] = ACTS, first_seq: int = 1, **where: Any) -> None:
    for number, act in enumerate(acts):
        await send(log, "frame", first_seq + number, PICTURES[act], **where)


async def test_a_session_from_start_to_end(log: LocalLog, reader: Reader) -> None:
    counters = Metrics()
    async with running(build(log, counters)) as analyzer:
        await analyzer.check()
        await begin(log, consent=Consent(live_view=True))
        await stream(log)
        await end(log, 120)
        await reader.until(reader.totals)
    totals = reader.totals()
    assert totals == SessionTotals(frames=120, analyzed=120, skipped=0, blink_count=4, yawn_count=2, last_seq=120)
    assert sorted(reader.metrics()) == list(range(1, 121))
    assert len(reader.on(METRICS)) == 120
    assert len(reader.on(PREVIEWS)) == 12
    await reader.until(lambda: len(reader.on(PREDICTIONS)) == 2)
    assert sorted(reader.predictions()) == [0, 1]
    assert counters.registry.get_sample_value("rapt_frames_analyzed_total") == 120


@pytest.mark.parametrize("snapshot_every_s", [0.0, 1.0])
@pytest.mark.parametrize("sends", [1, 2, 40, 77, 122])
async def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_happened(
    log: LocalLog, reader: Reader, sends: int, snapshot_every_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.analyzer.handlers.SNAPSHOT_EVERY_S", snapshot_every_s)
    dying = DyingLog(log, sends)
    killed = build(dying, graceful_timeout_s=0.2)
    await killed.start()
    await begin(log)
    await stream(log)
    async with asyncio.timeout(20):
        await dying.dead.wait()
    await killed.stop()

    async with running(build(log)):
        await end(log, 120)
        await reader.until(reader.totals)
    assert reader.totals() == SessionTotals(
        frames=120, analyzed=120, skipped=0, blink_count=4, yawn_count=2, last_seq=120
    )
    metrics = reader.metrics()
    assert sorted(metrics) == list(range(1, 121))
    blinks = [metrics[seq].blink_count for seq in sorted(metrics)]
    assert blinks == sorted(blinks)
    assert blinks[-1] == 4
    await reader.until(lambda: len(reader.predictions()) == 2)
    assert [len(values) for values in reader.predictions().values()] == [1, 1]


async def test_windows_that_the_predictor_fails_on_are_counted_and_keep_what_was_measured(
    log: LocalLog, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        name, look_back = "failing", 1

        def predict(self, recent: Sequence[Features]) -> Guess:
            raise PredictionFailed("it would not")

    monkeypatch.setattr("services.analyzer.app._predictors", lambda _: Predictors(Failing(), Failing()))
    counters = Metrics()
    async with running(build(log, counters)):
        await begin(log)
        await stream(log)
        await end(log, 120)
        await reader.until(lambda: reader.totals() and len(reader.on(PREDICTIONS)) == 2)
    predictions = [Prediction.decode(record.value) for record in reader.on(PREDICTIONS)]
    assert [(each.model, each.cluster_id) for each in predictions] == [("failing", None)] * 2
    assert all(each.features["engagement"] for each in predictions)
    assert counters.registry.get_sample_value("rapt_predictions_failed_total") == 2


async def test_stopped_and_started_again_nothing_is_analyzed_twice(log: LocalLog, reader: Reader) -> None:
    await begin(log)
    async with running(build(log)):
        await stream(log, ACTS[:60])
        await reader.until(lambda: len(reader.metrics()) == 60)
    async with running(build(log)):
        await stream(log, ACTS[60:], first_seq=61)
        await end(log, 120)
        await reader.until(reader.totals)
    assert len(reader.on(METRICS)) == 120
    totals = reader.totals()
    assert totals is not None
    assert (totals.analyzed, totals.blink_count, totals.yawn_count) == (120, 4, 2)


async def test_stop_drains_what_was_taken(log: LocalLog, reader: Reader) -> None:
    await begin(log)
    await stream(log)
    analyzer = build(log)
    await analyzer.start()
    await reader.until(lambda: reader.metrics())
    await analyzer.stop()
    lag = log.consumer([FRAMES], reader, group="analyzer")
    await lag.start()
    assert sum((await lag.lag()).values()) == 0
    await lag.stop()
    snapshot = await log.snapshot(ANALYZER_STATE, partition_of("s", ANALYZER_STATE.partitions))
    assert b'"last_seq":120' in snapshot["s"].value


async def test_frames_sent_again_after_a_reconnect_count_once(log: LocalLog, reader: Reader) -> None:
    async with running(build(log)):
        await begin(log)
        await stream(log, ACTS[:50])
        await begin(log)
        await stream(log, ACTS[30:], first_seq=31)
        await end(log, 120)
        await end(log, 120)
        await reader.until(reader.totals)
    assert len(reader.on(METRICS)) == 120
    totals = reader.totals()
    assert totals is not None
    assert (totals.frames, totals.blink_count) == (120, 4)


TRUNCATED = PICTURES["open"][:4000]
FRAME = FrameHeaders("s", "frame", 2, 1_760_000_000_200, 1_760_000_000_200).encode()


@pytest.mark.parametrize(
    ("key", "value", "changes", "error"),
    [
        ("s", TRUNCATED, {}, "the JPEG ends early, after 4000 bytes"),
        ("s", b"", {}, "the frame has 0 bytes; wanted a JPEG"),
        ("s", PICTURES["open"].ljust((1 << 20) + 1), {}, "frames takes at most 1048576"),
        ("s", b"noise", {"kind": "noise"}, "header kind is 'noise'; wanted one of"),
        ("s", PICTURES["open"], {"seq": None}, "header seq is missing"),
        ("s", PICTURES["open"], {"seq": "-1"}, "header seq is '-1'; wanted a whole number"),
        ("s", PICTURES["open"], {"seq": "9" * 16}, "wanted a whole number up to 4294967295"),
        ("s", PICTURES["open"], {"captured_at_ms": "soon"}, "header captured_at_ms is 'soon'"),
        ("s", PICTURES["open"], {"schema": "frames.v2"}, "newer than frames.v1"),
        ("s", PICTURES["open"], {"session_id": "t"}, "the key is 's', but header session_id says 't'"),
        ("", PICTURES["open"], {}, "the record has no key"),
        ("s", b"{", {"kind": "start"}, "the session's start cannot be read"),
        ("s", examples.SESSION_START.encode(), {"kind": "start"}, "but the value's session_id is"),
        ("s", b"[]", {"kind": "end"}, "the session's end cannot be read"),
        ("s", examples.SESSION_END.encode(), {"kind": "end"}, "but the value's session_id is"),
    ],
)
async def test_a_bad_record_becomes_a_dead_letter_and_the_session_goes_on(
    log: LocalLog, reader: Reader, key: str, value: bytes, changes: dict[str, str | None], error: str
) -> None:
    headers = {name: text for name, text in {**FRAME, **changes}.items() if text is not None}
    async with running(build(log)):
        await begin(log)
        await send(log, "frame", 1, PICTURES["open"])
        await (await log.send(FRAMES, key, value, headers))
        await send(log, "frame", 3, PICTURES["open"])
        await end(log, 3)
        await reader.until(lambda: reader.totals() and reader.on(DEAD_LETTERS))
    assert sorted(reader.metrics()) == [1, 3]
    [letter] = reader.on(DEAD_LETTERS)
    assert (letter.key, letter.value) == (key, value)
    assert error in letter.headers["error"]
    assert letter.headers["origin_topic"] == "frames"
    totals = reader.totals()
    assert totals is not None
    assert totals.analyzed == 2
    assert "" not in await log.snapshot(ANALYZER_STATE, partition_of("", ANALYZER_STATE.partitions))


@pytest.mark.parametrize(
    ("value", "headers", "error"),
    [
        (b"not JSON", {}, "the snapshot cannot be read"),
        (b"{}", {}, "session_id: Field required"),
        (b" " * ((1 << 20) + 1), {}, "analyzer-state takes at most 1048576"),
        (b'{"session_id": "t"}', {}, "but the snapshot is of session 't'"),
        (b'{"session_id": "s"}', {"session_id": "t"}, "but header session_id says 't'"),
        (b'{"session_id": "s"}', {"schema": "analyzer-state.v2"}, "newer than analyzer-state.v1"),
        (b'{"session_id": "s"}', {"epoch": "the last"}, "header epoch is 'the last'"),
    ],
)
async def test_a_bad_snapshot_becomes_one_dead_letter_and_the_session_starts_anew(
    log: LocalLog, reader: Reader, value: bytes, headers: dict[str, str], error: str
) -> None:
    await (await log.send(ANALYZER_STATE, "s", value, headers))
    async with running(build(log)):
        await reader.until(lambda: reader.on(DEAD_LETTERS))
    await begin(log)
    async with running(build(log)):
        await send(log, "frame", 1, PICTURES["open"])
        await end(log, 1)
        await reader.until(reader.totals)
    [letter] = reader.on(DEAD_LETTERS)
    assert (letter.key, letter.value, letter.headers["origin_topic"]) == ("s", value, "analyzer-state")
    assert error in letter.headers["error"]
    totals = reader.totals()
    assert totals is not None
    assert totals.frames == 1


async def test_a_bad_snapshot_of_another_producer_hides_no_good_one(log: LocalLog, reader: Reader) -> None:
    await begin(log)
    async with running(build(log)):
        await stream(log, ACTS[:60])
        await reader.until(lambda: len(reader.metrics()) == 60)
    await (await log.send(ANALYZER_STATE, "s", b"not JSON"))
    async with running(build(log)):
        await stream(log, ACTS[60:], first_seq=61)
        await end(log, 120)
        await reader.until(reader.totals)
    totals = reader.totals()
    assert totals is not None
    assert (totals.analyzed, totals.blink_count, totals.yawn_count) == (120, 4, 2)


async def test_a_bug_in_one_session_leaves_the_others_alone(log: LocalLog, reader: Reader) -> None:
    class Broken(CornerFaces):
        def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32] | None:
            if picture.height == 120:
                raise ZeroDivisionError("a bug")
            return super().landmarks(picture, region)

    small = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))[1].tobytes()
    async with running(build(log, faces=Broken)):
        await begin(log, session_id="sick")
        await begin(log, session_id="well")
        await send(log, "frame", 1, small, session_id="sick")
        await send(log, "frame", 1, PICTURES["open"], session_id="well")
        await end(log, 1, session_id="sick")
        await end(log, 1, session_id="well")
        await reader.until(lambda: reader.totals("sick") and reader.totals("well"))
    assert list(reader.metrics("well")) == [1]
    assert list(reader.metrics("sick")) == []
    (letter,) = reader.on(DEAD_LETTERS)
    assert letter.headers["error_class"] == "AnalysisFailed"
    assert "ZeroDivisionError: a bug" in letter.headers["error"]


async def test_a_stale_live_session_is_thinned_and_the_skipped_are_counted(log: LocalLog, reader: Reader) -> None:
    counters = Metrics()
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Waiting(CornerFaces):
        def __init__(self) -> None:
            asyncio.run_coroutine_threadsafe(opened.wait(), loop).result()

    async with running(build(log, counters, faces=Waiting, stale_after_ms=500, catch_up_s=0)):
        await begin(log)
        # The first turn holds the tracker up; all that comes meanwhile waits, and grows stale.
        await send(log, "frame", 1, PICTURES["open"])
        for seq in range(2, 3000):
            await log.send(
                FRAMES, "s", PICTURES["open"], FrameHeaders("s", "frame", seq, seq * 10, now_ms() - 5000).encode()
            )
        await end(log, 2999)
        opened.set()
        await reader.until(reader.totals)
    totals = reader.totals()
    assert totals is not None
    assert totals.frames == 2999
    assert totals.skipped > 0
    assert totals.analyzed + totals.skipped == 2999
    assert len(reader.metrics()) == totals.analyzed
    assert counters.registry.get_sample_value("rapt_frames_skipped_total", {"reason": "stale"}) == totals.skipped


async def test_frames_of_a_session_without_a_start_are_analyzed_and_told_once_it_is_known(
    log: LocalLog, reader: Reader
) -> None:
    async with running(build(log)):
        await stream(log, ["open"] * 20)
        await reader.until(lambda: len(reader.metrics()) == 20)
        assert reader.on(STATUS) == []
        await begin(log)
        await stream(log, ["open"] * 5, first_seq=21)
        await end(log, 25)
        await reader.until(reader.totals)
    assert StatusChanged.decode(reader.on(STATUS)[0].value).seq == 21


async def test_without_consent_no_frame_is_looked_at(log: LocalLog, reader: Reader) -> None:
    async with running(build(log)):
        await begin(log, consent=Consent(analysis=False))
        await stream(log, ["open"] * 5)
        await end(log, 5)
        await reader.until(reader.totals)
    assert reader.metrics() == {}
    totals = reader.totals()
    assert totals is not None
    assert (totals.analyzed, totals.skipped) == (0, 5)


async def test_a_log_that_fails_for_a_while_loses_no_result(log: LocalLog, reader: Reader) -> None:
    class Failing(DyingLog):
        down = True

        async def send(
            self, topic: Topic, key: str, value: bytes, headers: Mapping[str, str] | None = None
        ) -> asyncio.Future[Position]:
            if not self.down:
                return await log.send(topic, key, value, headers)
            failed: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            failed.set_exception(LogUnavailable("the disk is full"))
            self.dead.set()
            return failed

    failing = Failing(log, 0)
    async with running(build(failing)) as analyzer:
        await begin(log)
        await stream(log, ["open"] * 30)
        await failing.dead.wait()
        failing.down = False
        failing.dead.clear()
        await end(log, 30)
        await reader.until(lambda: reader.totals() and len(reader.metrics()) == 30)
        await analyzer.check()
    assert reader.totals() is not None


async def test_models_that_cannot_be_loaded_end_the_start_with_the_reason(
    log: LocalLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ImportError("libGL is missing")

    monkeypatch.setattr("services.analyzer.app.load_mediapipe", broken)
    analyzer = build_app(load_settings(graceful_timeout_s=0.2), log, Metrics())
    with pytest.raises(StartFailed, match="MediaPipe cannot be loaded: libGL is missing"):
        await analyzer.start()
    await analyzer.stop()
