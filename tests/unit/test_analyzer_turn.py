"""What becomes of each record of a session's turn, with faces that are made up."""

from collections.abc import Callable
from itertools import cycle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import FrameMetrics, Prediction, StatusChanged
from schemas.examples import SESSION_END, SESSION_START
from schemas.frames import FrameHeaders, Kind
from schemas.sessions import Consent, SessionStart
from schemas.topics import FRAMES, LANDMARKS, METRICS, PREDICTIONS, PREVIEWS, STATUS
from services.analyzer import snapshots
from services.analyzer.domain.faces import Region
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Entry
from services.analyzer.turn import TRIES, AnalysisFailed, Outcome, Subject, Turns
from services.analyzer.vision.decode import decode, landmark_bytes, reduction
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import Picture
from services.runtime.deadletters import Malformed
from services.runtime.log import Record
from tests.support.faces import face

SIZE = np.array((320, 240, 320), np.float32)
FACE = face() / SIZE
START = SESSION_START.model_copy(update={"session_id": "s", "consent": Consent(), "landmarks": False})


def picture(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """Noise, and lines as sharp as lashes, for a face that is made up."""
    image = np.random.default_rng(1).integers(140, 200, (height, width, 3), np.uint8)
    image[::40], image[:, ::40] = 20, 20
    return image


def jpeg(width: int = 320, height: int = 240) -> bytes:
    return cv2.imencode(".jpg", picture(width, height))[1].tobytes()


JPEG = jpeg()


class MadeUpFaces:
    """Finds one face where the picture's middle is, and sees in it what it is told to."""

    def __init__(self, look: Callable[[], NDArray[np.float32] | None] = lambda: FACE) -> None:
        self._look = look
        self.pictures: list[tuple[int, ...]] = []
        self.closed = False

    def detect(self, picture: Picture) -> list[Region]:
        return [Region(picture.width / 2, picture.height / 2, picture.height / 2)]

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32] | None:
        self.pictures.append(picture.rgb.shape)
        face = self._look()
        return None if face is None else face * np.array((picture.width, picture.height, picture.width), np.float32)

    def close(self) -> None:
        self.closed = True


def alive() -> MadeUpFaces:
    """Eyes that wander: a face that never moved would be a still, of which nothing is predicted."""
    return MadeUpFaces(cycle([face(iris_h=0.03 * side) / SIZE for side in (1, -1) for _ in range(10)]).__next__)


def entry(kind: Kind, seq: int, value: bytes, at_ms: int | None = None, **headers: str) -> Entry:
    at_ms = 1_000_000 + 100 * seq if at_ms is None else at_ms
    told = FrameHeaders("s", kind, seq, at_ms, at_ms + 10)
    return Entry(Record(FRAMES.name, 0, seq, "s", value, {**told.encode(), **headers}, at_ms), told)


def start(**changes: object) -> Entry:
    return entry("start", 0, START.model_copy(update=changes).encode())


END = entry("end", 999, SESSION_END.model_copy(update={"session_id": "s"}).encode())


def run(
    *entries: Entry, vision: MadeUpFaces | None = None, subject: Subject | None = None
) -> tuple[Subject, list[Outcome]]:
    vision = vision or MadeUpFaces()
    subject = subject or Subject(SessionState("s"))
    turns = Turns(Vision(Pool(lambda: vision, most=1)), Skills(), clock_ms=lambda: 1_000_500)
    return subject, turns.run(subject, list(entries))


def topics(outcomes: list[Outcome]) -> list[str]:
    return [message.topic.name for outcome in outcomes for message in outcome.messages]


def test_a_frame_becomes_metrics_and_a_status_when_it_changes() -> None:
    subject, (began, first, second) = run(start(), entry("frame", 1, JPEG), entry("frame", 2, JPEG))
    assert began.messages == []
    assert topics([first, second]) == [METRICS.name, STATUS.name, METRICS.name]
    metrics = FrameMetrics.decode(first.messages[0].value)
    assert (metrics.session_id, metrics.seq, metrics.captured_at_ms) == ("s", 1, 1_000_100)
    assert (metrics.received_at_ms, metrics.analyzed_at_ms) == (1_000_110, 1_000_500)
    status = StatusChanged.decode(first.messages[1].value)
    assert (status.student_id, status.started_at_ms, status.ended_at_ms) == (
        START.student_id,
        START.started_at_ms,
        None,
    )
    assert first.analyzed_after_ms == 390
    assert subject.state.analyzed == 2


def test_landmarks_and_previews_go_out_only_where_asked_and_agreed() -> None:
    frames = [entry("frame", seq, JPEG) for seq in range(1, 13)]
    _, plain = run(start(), *frames)
    assert not {LANDMARKS.name, PREVIEWS.name} & set(topics(plain))
    _, rich = run(start(landmarks=True, consent=Consent(live_view=True)), *frames)
    assert topics(rich).count(LANDMARKS.name) == 12
    previews = [message for outcome in rich for message in outcome.messages if message.topic is PREVIEWS]
    assert len(previews) == 2  # 1.2 s of frames, at most one a second
    small = cv2.imdecode(np.frombuffer(previews[0].value, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (120, 160, 3)
    assert previews[0].headers["seq"] == "1"


def test_landmarks_are_eighths_of_the_frame_as_sent() -> None:
    value = landmark_bytes(FACE * SIZE)
    points = np.frombuffer(value, "<i2").reshape(478, 3) / 8
    assert np.abs(points - FACE * SIZE).max() <= 1 / 16 + 1e-3
    far = np.full((478, 3), 1e6, np.float32)
    assert np.frombuffer(landmark_bytes(far), "<i2").max() == 32767


def test_a_window_becomes_a_prediction_behind_the_frame_that_is_beyond_it() -> None:
    frames = [entry("frame", seq, JPEG) for seq in range(1, 90)]
    _, outcomes = run(start(), *frames, END, vision=alive())
    assert topics(outcomes[51:52]) == [METRICS.name, PREDICTIONS.name]
    assert topics(outcomes[-1:]) == [PREDICTIONS.name, STATUS.name]
    predictions = [message for outcome in outcomes for message in outcome.messages if message.topic is PREDICTIONS]
    assert [Prediction.decode(message.value).window for message in predictions] == [0, 1]
    assert predictions[0].headers["received_at_ms"] == "1005110"
    assert not any(outcome.unpredicted for outcome in outcomes)


def test_a_batch_that_is_read_again_gives_the_same_predictions() -> None:
    frames = [entry("frame", seq, JPEG) for seq in range(1, 130)]
    subject, _ = run(start(), *frames[:40])
    restored = Subject(snapshots.decode(snapshots.encode(subject.state)))
    once, again = (run(*frames[20:], END, vision=alive(), subject=each)[1] for each in (subject, restored))
    values = [message.value for outcome in once for message in outcome.messages if message.topic is PREDICTIONS]
    assert len(values) == 3
    assert values == [
        message.value for outcome in again for message in outcome.messages if message.topic is PREDICTIONS
    ]


def test_without_consent_nothing_is_analyzed() -> None:
    vision = MadeUpFaces()
    subject, outcomes = run(start(consent=Consent(analysis=False)), entry("frame", 1, JPEG), vision=vision)
    assert (outcomes[1].messages, outcomes[1].skipped, vision.pictures) == ([], "no_consent", [])
    assert (subject.state.skipped, subject.state.analyzed) == (1, 0)


def test_duplicates_are_finished_without_a_trace() -> None:
    frames = [entry("frame", 1, JPEG), entry("frame", 2, JPEG)]
    subject, outcomes = run(start(), *frames, *frames, start(), entry("frame", 2, JPEG))
    assert [bool(outcome.messages) for outcome in outcomes] == [False, True, True, False, False, False, False]
    assert not any(outcome.error or outcome.skipped for outcome in outcomes)
    assert subject.state.analyzed == 2


def test_a_thinned_frame_is_counted_as_skipped() -> None:
    thinned = entry("frame", 2, JPEG)
    thinned.skip = True
    subject, outcomes = run(start(), entry("frame", 1, JPEG), thinned, entry("frame", 3, JPEG))
    assert outcomes[2].skipped == "stale"
    assert (subject.state.analyzed, subject.state.skipped, subject.state.last_seq) == (2, 1, 3)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"", "the frame has 0 bytes; wanted a JPEG"),
        (b"GIF89a", "the frame does not start with FF D8; wanted a JPEG"),
        (JPEG[: len(JPEG) // 2], f"the JPEG ends early, after {len(JPEG) // 2} bytes"),
        (JPEG[:300] + b"\xff\xd9", "the JPEG"),
        (JPEG[:2] + b"\xff\xd9", "the JPEG ends before it tells its size"),
    ],
    ids=["empty", "no JPEG", "truncated", "mostly missing", "no header"],
)
def test_what_is_no_picture_is_refused_and_the_session_goes_on(value: bytes, error: str) -> None:
    subject, outcomes = run(start(), entry("frame", 1, value), entry("frame", 2, JPEG))
    assert isinstance(outcomes[1].error, Malformed)
    assert str(outcomes[1].error).startswith(error)
    assert outcomes[1].messages == []
    assert outcomes[2].messages
    assert (subject.state.malformed, subject.state.analyzed) == (1, 1)


def test_records_that_cannot_be_read_are_refused() -> None:
    nameless = Entry(Record(FRAMES.name, 0, 0, "s", b"", {}, 0), None, "header kind is missing")
    _, outcomes = run(nameless, entry("start", 0, b'{"session_id": "s"}'), entry("end", 9, b"no"))
    assert [type(outcome.error) for outcome in outcomes] == [Malformed] * 3
    assert str(outcomes[0].error) == "header kind is missing"
    assert "student_id" in str(outcomes[1].error)


def test_a_bug_is_tried_again_with_new_models() -> None:
    failures = [RuntimeError("lost")]

    def look() -> NDArray[np.float32]:
        if failures:
            raise failures.pop()
        return FACE

    vision = MadeUpFaces(look)
    subject, outcomes = run(start(), entry("frame", 1, JPEG), entry("frame", 2, JPEG), vision=vision)
    assert vision.closed
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert subject.state.analyzed == 2


def test_a_bug_that_stays_gives_the_record_up_with_its_traceback() -> None:
    def look() -> NDArray[np.float32]:
        raise RuntimeError("the same again")

    vision = MadeUpFaces(look)
    subject, outcomes = run(start(), entry("frame", 1, JPEG), vision=vision)
    assert isinstance(outcomes[1].error, AnalysisFailed)
    assert "RuntimeError: the same again" in str(outcomes[1].error)
    assert "in look" in str(outcomes[1].error)
    assert len(vision.pictures) == TRIES
    assert (subject.state.malformed, subject.state.last_seq) == (1, 1)


def test_the_end_tells_totals_and_once_is_enough() -> None:
    _, outcomes = run(start(), entry("frame", 1, JPEG), END, END)
    last = StatusChanged.decode(outcomes[2].messages[0].value)
    totals = last.totals
    assert totals is not None
    assert (last.started_at_ms, last.ended_at_ms) == (START.started_at_ms, SESSION_END.ended_at_ms)
    assert (totals.frames, totals.analyzed, totals.last_seq) == (1, 1, 1)
    assert (outcomes[2].ended, outcomes[3].messages, outcomes[3].error) == (True, [], None)


def test_the_trace_goes_on_in_what_is_derived() -> None:
    _, outcomes = run(start(), entry("frame", 1, JPEG, traceparent="00-abc-def-01"))
    assert {message.headers["traceparent"] for message in outcomes[1].messages} == {"00-abc-def-01"}


@pytest.mark.parametrize(
    ("size", "face_px", "factor"),
    [
        ((320, 240), None, 1),
        ((640, 480), None, 1),
        ((1280, 720), None, 2),
        ((3840, 2160), None, 4),
        ((1280, 720), 100.0, 1),
        ((1280, 720), 300.0, 2),
        ((1280, 720), 600.0, 4),
        ((4096, 4096), 2000.0, 8),
    ],
)
def test_decoding_keeps_what_the_mesh_can_use(size: tuple[int, int], face_px: float | None, factor: int) -> None:
    assert reduction(*size, face_px) == factor


def test_a_large_frame_is_measured_in_its_own_pixels() -> None:
    vision = MadeUpFaces()
    big = cv2.imencode(".jpg", cv2.resize(picture(), (1280, 960)))[1].tobytes()
    _, outcomes = run(start(), entry("frame", 1, big), entry("frame", 2, big), vision=vision)
    assert vision.pictures == [(480, 640, 3), (240, 320, 3)]
    for outcome in outcomes[1:]:
        assert FrameMetrics.decode(outcome.messages[0].value).quality.face_px == pytest.approx(560, rel=0.02)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (4096, 3)])
def test_odd_sizes_are_no_error(size: tuple[int, int]) -> None:
    _, outcomes = run(start(), entry("frame", 1, jpeg(*size)))
    assert outcomes[1].error is None


def test_grey_is_decoded_to_colour_and_rgb_is_rgb() -> None:
    grey = cv2.imencode(".jpg", picture()[:, :, 0])[1].tobytes()
    assert decode(grey).rgb.shape == (240, 320, 3)
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 2] = 255  # OpenCV encodes from BGR
    shown = decode(cv2.imencode(".jpg", red)[1].tobytes()).rgb
    assert shown[8, 8, 0] > 200 > 100 > shown[8, 8, 2]


def test_an_unreadable_start_is_told_what_is_wanted() -> None:
    wrong = SessionStart.encode(START).replace(b'"frame_width":320', b'"frame_width":"wide"')
    _, outcomes = run(entry("start", 0, wrong))
    assert "frame_width" in str(outcomes[0].error)
