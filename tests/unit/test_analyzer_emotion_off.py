"""Where emotions may not be inferred nothing of them is anywhere: by the setting or by the person's consent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic_core import from_json

from schemas.examples import SESSION_END, SESSION_START
from schemas.frames import FrameHeaders, Kind
from schemas.sessions import Consent
from schemas.topics import FRAMES, METRICS, PREDICTIONS, STATUS
from services.analyzer import snapshots
from services.analyzer.domain import emotion
from services.analyzer.domain.faces import Region
from services.analyzer.domain.state import SessionState, Skills
from services.analyzer.perceive import Vision
from services.analyzer.scheduler import Entry
from services.analyzer.turn import Message, Subject, Turns
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import Picture
from services.ingest import messages as live
from services.runtime.api import install_problems
from services.runtime.auth import Auth
from services.runtime.log import Record
from services.runtime.store.sqlite import SqliteStore
from services.sink import api
from services.sink.documents import Put, parse
from tests.support.faces import face
from tests.support.needs import REPOSITORY

SPEAKING_OF_EMOTIONS = {
    *("emotion", "emotion_scores", "arousal", "valence", "probe", "color", "names"),
    *emotion.EMOTIONS,
}
AUTH = Auth("a secret of at least thirty-two bytes")


class Swaying:
    """One face that moves a little, as people do."""

    def __init__(self) -> None:
        self._looks = 0

    def detect(self, picture: Picture) -> list[Region]:
        return [Region(picture.width / 2, picture.height / 2, picture.height / 2)]

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32]:
        self._looks += 1
        return face(ear=0.3 + 0.02 * (self._looks % 3), yaw_deg=3 * np.sin(self._looks / 7))

    def close(self) -> None: ...


def jpeg() -> bytes:
    """Noise, and lines as sharp as lashes."""
    image = np.random.default_rng(1).integers(140, 200, (240, 320, 3), np.uint8)
    image[::40], image[:, ::40] = 20, 20
    return cv2.imencode(".jpg", image)[1].tobytes()


def session(skills: Skills, *, consent: bool) -> tuple[list[Message], SessionState]:
    """What six seconds of a session at 10 fps lead to, and the state before its end."""
    subject = Subject(SessionState("s"))
    turns = Turns(Vision(Pool(Swaying, most=1)), skills, clock_ms=lambda: 2_000_000)
    said = {"session_id": "s", "consent": Consent(emotion=consent), "landmarks": False}
    start = SESSION_START.model_copy(update=said)
    end = SESSION_END.model_copy(update={"session_id": "s"})

    def entry(kind: Kind, seq: int, value: bytes) -> Entry:
        at_ms = 1_000_000 + 100 * seq
        headers = FrameHeaders("s", kind, seq, at_ms, at_ms)
        return Entry(Record(FRAMES.name, 0, seq, "s", value, headers.encode(), at_ms), headers)

    frame = jpeg()
    entries = [entry("start", 0, start.encode()), *(entry("frame", seq, frame) for seq in range(1, 61))]
    sent = [message for outcome in turns.run(subject, entries) for message in outcome.messages]
    state = subject.state
    ended = turns.run(subject, [entry("end", 61, end.encode())])[0]
    assert ended.error is None
    return [*sent, *ended.messages], state


def names(value: Any) -> set[str]:
    """Every name in a document, however deep."""
    if isinstance(value, dict):
        return {*value, *(name for part in value.values() for name in names(part))}
    return {name for part in value for name in names(part)} if isinstance(value, list) else set()


NOT_INFERRED = pytest.mark.parametrize(
    ("skills", "consent"),
    [(Skills(), True), (Skills(emotion=emotion.see), False), (Skills(), False)],
    ids=["off, with consent", "on, without consent", "off, without consent"],
)


@NOT_INFERRED
def test_no_topic_names_an_emotion(skills: Skills, consent: bool) -> None:
    sent, state = session(skills, consent=consent)
    assert {message.topic.name for message in sent} == {"metrics", "status", "predictions"}
    assert not [message.value for message in sent if names(from_json(message.value)) & SPEAKING_OF_EMOTIONS]
    assert from_json(snapshots.encode(state))["expression"] is None


@NOT_INFERRED
async def test_no_store_answer_or_page_names_an_emotion(skills: Skills, consent: bool, tmp_path: Path) -> None:
    sent, _ = session(skills, consent=consent)
    store = SqliteStore(tmp_path / "store.sqlite")
    await store.start()
    await store.insert("sessions", {"_id": "s", "student_id": "ada", "lecture_code": "PHYS"})
    for message in sent:
        for write in parse(Record(message.topic.name, 0, 0, message.key, message.value, message.headers, 2_000_000)):
            assert isinstance(write, Put)
            assert not names(write.document) & (SPEAKING_OF_EMOTIONS - {"names"})
            assert not {*write.document.get("names", ())} & SPEAKING_OF_EMOTIONS
            await store.upsert_many(write.collection, [write.document])
    app = FastAPI()
    app.state.auth = AUTH
    install_problems(app)
    app.include_router(api.build_router(store))
    headers = {"Authorization": f"Bearer {AUTH.access_token('ada', 'student')}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rapt", headers=headers) as client:
        for what in ("metrics", "metrics?step_ms=1000", "summary"):
            answer = await client.get(f"/sessions/s/{what}")
            assert answer.status_code == 200
            assert not names(answer.json()) & SPEAKING_OF_EMOTIONS
    await store.close()
    for message in sent:
        if message.topic is METRICS:
            shown = (live.metrics(5, message.value), live.live_metrics(5, message.value))
            assert not names([from_json(each) for each in shown]) & SPEAKING_OF_EMOTIONS


def test_where_both_allow_it_a_label_is_null_until_it_can_be_told() -> None:
    sent, state = session(Skills(emotion=emotion.see), consent=True)
    metrics = [from_json(message.value) for message in sent if message.topic is METRICS]
    told = [(each["emotion"], each["emotion_scores"]) for each in metrics]
    assert told[0] == (None, None)
    label, scores = told[-1]
    assert label == "neutral"
    assert set(scores) == set(emotion.EMOTIONS)
    assert sum(scores.values()) == pytest.approx(1, abs=3e-4)
    statuses = [from_json(message.value)["emotion"] for message in sent if message.topic is STATUS]
    assert statuses[0] is None
    assert statuses[-1] == "neutral"
    predictions = [from_json(message.value) for message in sent if message.topic is PREDICTIONS]
    assert predictions
    assert all({"probe", "emotion"} <= each.keys() for each in predictions)
    assert state.expression is not None
    assert snapshots.decode(snapshots.encode(state)).expression == state.expression


def test_withdrawn_consent_takes_what_was_learned_with_it() -> None:
    _, state = session(Skills(emotion=emotion.see), consent=True)
    turns = Turns(Vision(Pool(Swaying, most=1)), Skills(emotion=emotion.see), clock_ms=lambda: 2_000_000)
    subject = Subject(state)
    start = SESSION_START.model_copy(update={"session_id": "s", "consent": Consent(emotion=False)})
    for kind, value in (("start", start.encode()), ("frame", jpeg())):
        headers = FrameHeaders("s", kind, 100, 1_010_000, 1_010_000)  # type: ignore[arg-type]
        turns.run(subject, [Entry(Record(FRAMES.name, 0, 0, "s", value, headers.encode(), 0), headers)])
    assert subject.state.last_seq == 100
    assert subject.state.expression is None


BUILD = """
import sys
from pathlib import Path
from services import assembly
from services.runtime.settings import Settings
assembly.embedded(Settings(rapt_data=Path({data!r}), emotion_inference={setting!r}))
print(*sorted(name for name in sys.modules if name.startswith("services.analyzer.domain.emotion")))
"""


@pytest.mark.parametrize(
    ("setting", "imported"), [("off", []), ("on", ["services.analyzer.domain.emotion"])], ids=["off", "on"]
)
def test_off_leaves_the_code_unimported(setting: str, imported: list[str], tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    code = BUILD.format(data=str(tmp_path), setting=setting)
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert built.stdout.split() == imported
