"""One example per topic: documentation, and the input of the tests that hold producers and consumers together."""

import base64

from schemas import events
from schemas.sessions import Consent, SessionEnd, SessionStart

# A grey 8×8 JPEG.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAoHBwgHBgoICAgLCgoLDhgQDg0NDh0VFhEYIx8lJCIfIiEmKzcvJik0KSEiMEExNDk7Pj4+JS5ESUM8SD"
    "c9Pjv/wAALCAAIAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1Fh"
    "ByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJ"
    "WWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/ACv/2Q=="
)
# 478 landmarks, all at the picture's origin.
LANDMARKS = bytes(478 * 3 * 2)

CONSENT = Consent(version="1", analysis=True, recording=True, emotion=False, live_view=True)
SESSION_START = SessionStart(
    session_id="s-7f3a",
    student_id="student",
    lecture_code="PHYS-101",
    session_name="Week 3",
    started_at_ms=1_760_000_000_000,
    frame_width=320,
    frame_height=240,
    fps=10.0,
    record=True,
    landmarks=True,
    consent=CONSENT,
)
SESSION_END = SessionEnd(session_id="s-7f3a", reason="client", ended_at_ms=1_760_000_060_000, last_seq=599)

METRICS = events.FrameMetrics(
    session_id="s-7f3a",
    seq=17,
    captured_at_ms=1_760_000_001_700,
    received_at_ms=1_760_000_001_712,
    analyzed_at_ms=1_760_000_001_718,
    analyzer_version="1",
    face_present=True,
    face_count=1,
    quality=events.Quality(face_px=118.0, blur=38.5, contrast=112.0, brightness=131.2, still=False),
    insufficient_signal=False,
    ear_left=0.31,
    ear_right=0.3,
    mar=0.08,
    eyes_closed=False,
    blink_count=2,
    perclos=0.04,
    drowsy=False,
    yawning=False,
    yawn_count=0,
    gaze_h=0.05,
    gaze_v=-0.02,
    gaze="center",
    yaw_deg=3.1,
    pitch_deg=-2.0,
    roll_deg=0.4,
    head_pose="forward",
    emotion=None,
    emotion_scores=None,
    engagement=0.86,
    engagement_parts={"presence": 0.3, "eyes": 0.25, "gaze": 0.16, "head": 0.15},
    state="engaged",
)
STATUS = events.StatusChanged(
    session_id="s-7f3a",
    student_id="student",
    lecture_code="PHYS-101",
    seq=17,
    captured_at_ms=1_760_000_001_700,
    changed_at_ms=1_760_000_001_718,
    state="engaged",
    emotion=None,
    gaze="center",
    head_pose="forward",
    yawning=False,
)
PREDICTION = events.Prediction(
    session_id="s-7f3a",
    window=0,
    from_ms=1_760_000_000_000,
    to_ms=1_760_000_005_000,
    features={
        "engagement": 0.91,
        "eyes_closed": 0.03,
        "gaze_away": 0.1,
        "hand_raised": None,
        "yaw_spread_deg": 2.4,
        "pitch_spread_deg": 1.3,
        "mouth_activity": 0.03,
        "head_motion_deg_s": 7.5,
        "blinks_per_min": 12.0,
        "neutral": 0.31,
        "happy": 0.62,
        "sad": 0.01,
        "angry": 0.02,
        "surprised": 0.04,
    },
    change_score=0.12,
    cluster_id=3,
    arousal=0.15,
    valence=0.81,
    probe="HH",
    emotion="Happy",
    color="#eecdac",
    model="centroids-1",
)
SIGNAL = events.Signal(session_id="s-7f3a", kind="heart_rate", unit="bpm", sampled_at_ms=1_760_000_001_000, value=71.0)
RECORDING = events.RecordingEvent(
    recording_id="r-91c2",
    session_id="s-7f3a",
    student_id="student",
    lecture_code="PHYS-101",
    kind="completed",
    at_ms=1_760_000_060_400,
    started_at_ms=1_760_000_000_000,
    ended_at_ms=1_760_000_060_000,
    filename="student_PHYS-101_20251009T085320Z.mp4",
    width=320,
    height=240,
    duration_seconds=60.0,
    frame_count=600,
    first_seq=0,
    last_seq=599,
    file_size_bytes=812_334,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)
CONTROL = events.Control(
    kind="engagement", enabled=True, lecture_code="PHYS-101", issued_at_ms=1_760_000_000_000, issued_by="instructor"
)
JOB = events.JobEvent(job_id="j-12", session_id="s-7f3a", status="running", progress=0.4, at_ms=1_760_000_000_000)
SIGNALING = events.SignalMessage(
    session_id="c-1", sender="counselor", kind="offer", payload="v=0", at_ms=1_760_000_000_000
)
