"""Looks at the body within a session's turns: when they are taken and what becomes of them, with made up bodies."""

from collections.abc import Callable

import cv2

from schemas.events import FrameMetrics, StatusChanged
from schemas.topics import METRICS, STATUS
from services.analyzer import snapshots
from services.analyzer.domain.body import Body
from services.analyzer.domain.faces import Region
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.perceive import Vision
from services.analyzer.turn import Subject, Turns
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import BodyVision, Picture
from services.runtime.settings import Settings
from tests.unit.test_analyzer_hands import DOWN, arm
from tests.unit.test_analyzer_turn import FACE, JPEG, MadeUpFaces, entry, picture, start

UP = Body(arm(1.0), DOWN)
LOWERED = Body(DOWN, DOWN)


class MadeUpBodies:
    """Sees what it is told to. `at` is where it was asked to look."""

    def __init__(self, look: Callable[[], Body | None] = lambda: LOWERED) -> None:
        self.look = look
        self.at: list[Region] = []
        self.closed = False

    def body(self, picture: Picture, face: Region) -> Body | None:
        self.at.append(face)
        return self.look()

    def close(self) -> None:
        self.closed = True


class Session:
    """One session at 10 frames a second."""

    def __init__(self, bodies: MadeUpBodies | None = None, pose_hz: float = 2.0, state: SessionState | None = None):
        self.bodies = bodies
        self.faces = MadeUpFaces(lambda: FACE)
        pool: Pool[BodyVision] | None = Pool(lambda: bodies, most=1) if bodies else None
        self.vision = Vision(Pool(lambda: self.faces, most=1), pool)
        self.turns = Turns(self.vision, Skills(pose_hz=pose_hz), clock_ms=lambda: 1_000_500)
        self.subject = Subject(state or SessionState("s"))
        self.seq = self.subject.state.last_seq + 1
        self.told: list[FrameMetrics] = []
        self.statuses: list[StatusChanged] = []
        if state is None:
            self.turns.run(self.subject, [start()])

    def frames(self, count: int, jpeg: bytes = JPEG, after_ms: int = 0) -> list[bool | None]:
        """`count` frames, `after_ms` later than they would come; what they tell of the hand."""
        told = []
        for _ in range(count):
            self.seq += 1
            record = entry("frame", self.seq, jpeg, 1_000_000 + 100 * self.seq + after_ms)
            for message in self.turns.run(self.subject, [record])[0].messages:
                if message.topic is METRICS:
                    told.append(FrameMetrics.decode(message.value))
                elif message.topic is STATUS:
                    self.statuses.append(StatusChanged.decode(message.value))
        self.told += told
        return [metrics.hand_raised for metrics in told]


def arm_in_the_picture() -> bytes:
    image = picture()
    image[:, 10:60] = (90, 120, 180)
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_the_first_frame_is_looked_at_and_then_only_what_moves() -> None:
    session = Session(MadeUpBodies())
    assert session.frames(100) == [False] * 100
    assert len(session.bodies.at) == 1  # type: ignore[union-attr]
    session.frames(100, arm_in_the_picture())
    assert len(session.bodies.at) == 2  # type: ignore[union-attr]


def test_a_hand_that_moves_into_the_picture_is_told_with_the_next_status() -> None:
    bodies = MadeUpBodies()
    session = Session(bodies)
    session.frames(20)
    bodies.look = lambda: UP
    assert session.frames(10, arm_in_the_picture()) == [True] * 10
    assert session.statuses[-1].hand_raised is True
    bodies.look = lambda: LOWERED
    told = session.frames(20)
    assert told[0] is True
    assert told[-1] is False
    assert session.statuses[-1].hand_raised is False


def test_where_nobody_looks_nothing_is_said() -> None:
    assert set(Session(None).frames(10)) == {None}
    assert set(Session(MadeUpBodies(lambda: None)).frames(30)) == {None}


def test_a_refused_frame_says_nothing_of_hands_and_is_not_looked_at() -> None:
    session = Session(MadeUpBodies(lambda: UP))
    assert session.frames(1) == [True]
    dark = cv2.imencode(".jpg", picture() // 12)[1].tobytes()
    session.frames(5, dark)  # how clear the picture is is measured three times a second
    looks = len(session.bodies.at)  # type: ignore[union-attr]
    assert set(session.frames(30, dark)) == {None}
    assert len(session.bodies.at) == looks  # type: ignore[union-attr]
    assert session.frames(1) == [True]


def test_after_a_gap_it_is_looked_again() -> None:
    bodies = MadeUpBodies(lambda: UP)
    session = Session(bodies)
    session.frames(10)
    bodies.look = lambda: LOWERED
    assert session.frames(1, after_ms=60_000) == [False]


def test_another_replica_goes_on_from_the_snapshot() -> None:
    bodies = MadeUpBodies(lambda: UP)
    first = Session(bodies)
    first.frames(10)
    restored = snapshots.decode(snapshots.encode(first.subject.state))
    assert restored == first.subject.state
    assert Session(bodies, state=restored).frames(3) == [True] * 3


def test_looks_keep_to_the_rate_that_is_set() -> None:
    for pose_hz, most in ((0.5, 5), (1.0, 10), (2.0, 20)):
        bodies = MadeUpBodies()
        session = Session(bodies, pose_hz)
        for number in range(34):
            session.frames(3, arm_in_the_picture() if number % 2 else JPEG)
        assert most * 0.7 <= len(bodies.at) <= most + 1


def test_a_look_that_fails_is_tried_again_and_the_instance_thrown_away() -> None:
    def look() -> Body:
        if len(bodies.at) == 1:
            raise RuntimeError("broken")
        return UP

    bodies = MadeUpBodies(look)
    assert Session(bodies).frames(1) == [True]
    assert len(bodies.at) == 2
    assert bodies.closed


def test_shared_instances_are_closed() -> None:
    bodies = MadeUpBodies()
    session = Session(bodies)
    session.frames(1)
    session.vision.close()
    assert bodies.closed


def test_clips_are_looked_at_as_often_as_live_sessions() -> None:
    assert Settings.model_fields["pose_hz"].default == Skills().pose_hz
