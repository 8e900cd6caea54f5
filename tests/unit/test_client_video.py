"""Reading videos for `rapt replay`."""

from pathlib import Path

import cv2
import pytest

from schemas.frames import jpeg_size
from services.client.drawn import Pose, draw
from services.client.errors import UnreadableVideo
from services.client.replay import run_replay
from services.client.video import Video, count_frames

FRAMES, FPS = 30, 15.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two seconds of a drawn student, 640×360, 15 fps."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (640, 360))
    for number in range(FRAMES):
        writer.write(draw(Pose(eyes=number % 2), (640, 360)))
    writer.release()
    return path


def test_every_frame_comes_with_its_time_320_wide(file: Path) -> None:
    video = Video(file)
    frames = list(video.frames())
    assert (video.fps, video.size) == (FPS, (320, 180))
    assert [frame.at_s for frame in frames] == pytest.approx([number / FPS for number in range(FRAMES)], abs=0.01)
    assert {jpeg_size(frame.jpeg) for frame in frames} == {(320, 180)}
    assert frames[0].jpeg != frames[1].jpeg


@pytest.mark.parametrize(("fps", "count"), [(5.0, 10), (7.5, 15), (10.0, 20), (60.0, FRAMES)])
def test_fewer_frames_a_second_are_spread_evenly(file: Path, fps: float, count: int) -> None:
    video = Video(file, fps)
    at_s = [frame.at_s for frame in video.frames()]
    assert len(at_s) == count
    assert video.fps == min(fps, FPS)
    assert at_s == sorted(at_s)


def test_a_small_video_is_not_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), draw(Pose(), (161, 121)))
    assert Video(path).size == (160, 120)


def test_frames_are_counted(file: Path, tmp_path: Path) -> None:
    assert count_frames(file) == FRAMES
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert count_frames(text) == 0


def test_what_is_no_video_is_named(tmp_path: Path, file: Path) -> None:
    with pytest.raises(UnreadableVideo, match=r"gone\.mp4: there is no such file"):
        Video(tmp_path / "gone.mp4")
    with pytest.raises(UnreadableVideo, match="not a file"):
        Video(tmp_path)
    for name, content in (("empty.mp4", b""), ("text.mp4", b"no video"), ("torn.mp4", file.read_bytes()[:500])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableVideo, match=rf"{name}: no frame"):
            Video(tmp_path / name)


async def test_wrong_use_ends_with_2_before_anything_is_sent(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def replay(files: list[Path], fps: float | None = None, session_id: str | None = None) -> tuple[int, str]:
        code = await run_replay(
            files,
            url="http://127.0.0.1:1",  # nobody is there, and nobody is asked
            fps=fps,
            session_id=session_id,
            username="student",
            password="x",
            lecture_code="DEMO",
        )
        return code, capsys.readouterr().err

    code, said = await replay([file, tmp_path / "gone[1].mp4"])
    assert code == 2
    assert "gone[1].mp4: there is no such file" in said
    code, said = await replay([file], fps=0)
    assert (code, "--fps 0: wanted more than 0" in said) == (2, True)
    code, said = await replay([file, file], session_id="s-1")
    assert (code, "--session takes one file, not 2" in said) == (2, True)
    code, said = await replay([file])
    assert (code, "is Rapt running there?" in said) == (1, True)
