"""The clients against all of Rapt in one process: what is drawn is counted, what is acknowledged is recorded."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from schemas.sessions import Consent
from services import assembly
from services.client.api import Api
from services.client.demo import stream_demo
from services.client.drawn import SIZE, Look, draw, draw_jpeg
from services.client.errors import Refused
from services.client.load import load
from services.client.options import StreamOptions
from services.client.replay import ReplayReport, replay_video, run_replay
from services.client.timetable import Timetable
from services.client.verdict import judge
from services.runtime.settings import Settings
from tests.support.needs import clip

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Rapt:
    url: str
    password: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rapt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rapt]:
    """One for all tests of this module: it takes seconds to load the model."""
    settings = Settings(rapt_data=tmp_path_factory.mktemp("data"), port=0)
    embedded = assembly.embedded(settings)
    for part in embedded.parts:
        await part.start()
    with capture_logs():  # standard output is the commands' alone
        yield Rapt(embedded.http.url, embedded.demo_password)
    for part in reversed(embedded.parts):
        await part.stop()


async def replayed(rapt: Rapt, path: Path, options: StreamOptions | None = None) -> ReplayReport:
    return await replay_video(path, rapt.url, "student", rapt.password, "DEMO", options or StreamOptions())


async def test_two_drawn_students_keep_every_promise(rapt: Rapt) -> None:
    report = await stream_demo(rapt.url, rapt.password, seconds=9.0, students=2)
    assert judge(report) == []
    for student in report.students:
        assert student.sent + student.skipped == 90
        assert student.blinks_drawn > 0
        assert student.analyzed is not None
        assert student.left_out is not None
        assert student.analyzed + student.left_out == student.acked
        assert student.latency_p50_ms is not None


async def test_load_streams_many_sessions(rapt: Rapt) -> None:
    frames = [draw_jpeg(Timetable(1, 10).pose_at(number / 10), grain=number) for number in range(20)]
    report = await load(
        rapt.url,
        username="student",
        password=rapt.password,
        lecture_code="DEMO",
        sessions=3,
        fps=5,
        seconds=2,
        frames=frames,
    )
    assert report.sent == report.acked
    assert report.sent + report.skipped_captures + report.late_captures == 3 * 10
    assert report.measured > 0
    assert len(report.latencies_ms) == report.measured
    assert report.p50_ms is not None


async def test_a_replay_counts_one_blink(rapt: Rapt) -> None:
    report = await replayed(rapt, clip("pyfeat/single_face.mp4"))
    assert (report.frames, report.acked, report.blinks, report.yawns) == (72, 72, 1, 0)


async def test_a_replay_prints_what_came_of_it(rapt: Rapt, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _clip(tmp_path)
    code = await run_replay(
        [path, path],
        url=rapt.url,
        username="student",
        password=rapt.password,
        lecture_code="DEMO",
        record=False,
        as_json=True,
    )
    assert code == 0
    reports = json.loads(capsys.readouterr().out)["files"]
    assert [(each["file"], each["frames"], each["acked"]) for each in reports] == [("clip.mp4", 10, 10)] * 2
    assert reports[0]["session_id"] != reports[1]["session_id"]


async def test_a_replay_goes_on_with_a_session_until_it_has_ended(rapt: Rapt, tmp_path: Path) -> None:
    async with Api(rapt.url) as api:
        await api.login("student2", rapt.password)
        others = await api.create_session("DEMO", consent=Consent())
        await api.login("student", rapt.password)
        session_id = (await api.create_session("DEMO", consent=Consent())).session_id
    options = StreamOptions(record=False, consent=Consent(), session_id=session_id)
    assert (await replayed(rapt, _clip(tmp_path), options)).session_id == session_id
    with pytest.raises(Refused, match="has ended") as told:
        await replayed(rapt, _clip(tmp_path), options)
    assert told.value.status == 409
    foreign = StreamOptions(record=False, consent=Consent(), session_id=others.session_id)
    with pytest.raises(Refused, match="there is no session"):
        await replayed(rapt, _clip(tmp_path), foreign)


def _clip(folder: Path) -> Path:
    """One second of a drawn student at 10 fps."""
    path = folder / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, SIZE)
    timetable = Timetable(2, 10)
    for number in range(10):
        writer.write(draw(timetable.pose_at(number / 10), look=Look.of(2), grain=number))
    writer.release()
    return path
