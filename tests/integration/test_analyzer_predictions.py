"""Predictions of rendered clips through MediaPipe: the same at any frame rate, quadrants that fit what is shown."""

from itertools import pairwise

import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from schemas.events import Prediction
from schemas.examples import SESSION_END, SESSION_START
from schemas.frames import FrameHeaders, Kind
from schemas.sessions import Consent
from schemas.topics import FRAMES, PREDICTIONS
from services.analyzer.domain import emotion
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.evaluation.clips import clip_frames
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Entry
from services.analyzer.turn import Subject, Turns
from services.analyzer.vision.faces import MediaPipeFaces
from services.analyzer.vision.pool import Pool
from services.runtime.log import Record
from tests.support.needs import clip

FIRST_MS = 1_760_000_000_000


def predicted(name: str, fps: float, *, emotions: bool = True) -> list[Prediction]:
    """What a whole session of the clip predicts."""
    vision = Vision(Pool(MediaPipeFaces, most=1))
    turns = Turns(vision, Skills(emotion=emotion.see), clock_ms=lambda: 0)
    said = {"session_id": "s", "consent": Consent(emotion=emotions), "landmarks": False}
    start, end = SESSION_START.model_copy(update=said), SESSION_END.model_copy(update={"session_id": "s"})
    frames = [(FIRST_MS + at_ms, jpeg) for at_ms, jpeg in clip_frames(clip(name), fps=fps, width_px=320)]
    records: list[tuple[Kind, int, bytes]] = [
        ("start", FIRST_MS, start.encode()),
        *(("frame", at_ms, jpeg) for at_ms, jpeg in frames),
        ("end", frames[-1][0], end.encode()),
    ]
    try:
        entries = []
        for seq, (kind, at_ms, value) in enumerate(records):
            headers = FrameHeaders("s", kind, seq, at_ms, at_ms)
            entries.append(Entry(Record(FRAMES.name, 0, seq, "s", value, headers.encode(), at_ms), headers))
        outcomes = turns.run(Subject(SessionState("s")), entries)
    finally:
        vision.close()
    messages = [message for outcome in outcomes for message in outcome.messages]
    return [Prediction.decode(message.value) for message in messages if message.topic is PREDICTIONS]


def test_windows_are_the_same_at_any_frame_rate() -> None:
    """Yawning and talking, a head that turns and nods: as much as 5 frames a second can show."""
    tolerance = {"mouth_activity": 0.03, "head_motion_deg_s": 2.0, "yaw_spread_deg": 1.0, "pitch_spread_deg": 1.0}
    for name in ("synthetic/synth_yawns_talk.mp4", "synthetic/synth_headpose.mp4"):
        rates = [predicted(name, fps, emotions=False) for fps in (30, 10, 5)]
        for dense, sparse in pairwise(rates):
            assert [each.window for each in dense] == [each.window for each in sparse]
            for one, other in zip(dense, sparse, strict=True):
                assert (one.from_ms, one.cluster_id) == (other.from_ms, other.cluster_id)
                for feature, by in tolerance.items():
                    assert one.features[feature] == pytest.approx(other.features[feature], abs=by), feature


def test_a_smile_is_happy_and_a_frown_angry() -> None:
    smile, _, frown = predicted("synthetic/synth_expressions.mp4", 10)
    assert (smile.probe, smile.emotion, smile.color) == ("HH", "Happy", "#eecdac")
    assert (frown.probe, frown.emotion) == ("HL", "Angry")


def test_without_consent_to_emotions_the_same_session_says_nothing_of_them() -> None:
    told, untold = (predicted("synthetic/synth_expressions.mp4", 10, emotions=allowed) for allowed in (True, False))
    assert [each.change_score for each in told] == [each.change_score for each in untold]
    for each in untold:
        assert (each.probe, each.model) == (None, "behaviour-1")
        assert b"happy" not in each.encode().lower()


def test_long_closed_eyes_are_still_and_a_turning_head_is_a_change() -> None:
    asleep = predicted("synthetic/synth_drowsy.mp4", 10, emotions=False)
    assert {each.cluster_id for each in asleep} <= {4, 5}
    _, nods, *_ = predicted("synthetic/synth_headpose.mp4", 10, emotions=False)  # after turning from side to side
    assert nods.change_score is not None
    assert nods.change_score > 0.5
