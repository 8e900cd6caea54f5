"""`rapt evaluate` as a user meets it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("mediapipe", reason="the analyzer's extra is not installed")

from services.client.drawn import Pose, draw
from tests.support.needs import clip
from tests.support.processes import RAPT

FPS, SECONDS = 30, 6
BLINK_S = (4.0, 4.2)


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RAPT, "evaluate", *map(str, arguments)], capture_output=True, text=True, timeout=110, check=False
    )


@pytest.fixture(scope="module")
def blinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn student who blinks once, and the truth about it beside."""
    path = tmp_path_factory.mktemp("clips") / "blinking.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (320, 240))  # type: ignore[attr-defined]
    for number in range(SECONDS * FPS):
        shut = BLINK_S[0] <= number / FPS < BLINK_S[1]
        writer.write(draw(Pose(eyes=0.0 if shut else 1.0), grain=number))
    writer.release()
    events = [{"type": "blink", "start": BLINK_S[0], "end": BLINK_S[1]}, {"type": "juggling", "start": 1, "end": 2}]
    frames = [{"t": number / FPS, "yaw": 0, "pitch": 0, "roll": 0} for number in range(SECONDS * FPS)]
    path.with_suffix(".json").write_text(json.dumps({"events": events, "frames": frames}))
    return path


def test_tables_tell_what_was_found(blinking: Path) -> None:
    ended = evaluate(blinking.parent, "--fps", "15,5", "--width", "160")
    assert ended.returncode == 0, ended.stderr
    for title in ("Blinks", "Head", "PERCLOS", "Refused", "Across the rates", "Summary"):
        assert f"\n{title}" in f"\n{ended.stdout}"
    assert "Yawns" not in ended.stdout
    assert "blinking has events without a metric of their own: juggling" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_json_is_one_object(blinking: Path) -> None:
    ended = evaluate(blinking.with_suffix(".json"), "--fps", "30,10", "--json")
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    (one,) = told["clips"]
    assert (one["clip"], one["other_events"], one["error"]) == (str(blinking), ["juggling"], None)
    assert [rate["fps"] for rate in one["rates"]] == [30, 10] == [rate["fps"] for rate in told["summary"]]
    assert [rate["frames"] for rate in one["rates"]] == [180, 60]
    for rate in one["rates"]:
        assert (rate["blinks"]["hits"], rate["blinks"]["false"], rate["yawns"]["false"]) == (1, 0, 0)
        assert rate["pose_measured"]["share"] == 1
        assert rate["refused"]["share"] == 0


def test_a_clip_that_cannot_be_read_spoils_no_other(blinking: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "broken.json").write_text('{"events": []}')
    ended = evaluate(tmp_path, blinking, "--fps", "10", "--json")
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [f"rapt: {tmp_path}/broken.mp4 is not a video that can be read"]
    broken, fine = json.loads(ended.stdout)["clips"]
    assert (broken["rates"], fine["error"]) == ([], None)


def test_a_truth_that_cannot_be_read_names_its_field(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "clip.json").write_text('{"events": [{"type": "blink", "start": 1, "end": "soon"}]}')
    ended = evaluate(tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"rapt: {tmp_path}/clip.json: events.0.end: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/place"], "rapt: /no/such/place: there is no such file or folder"),
        ([__file__], "no truth beside it"),
        ([__file__, "--fps", "0"], "--fps: 0 is out of range"),
        ([__file__, "--fps", "nan"], "--fps: nan is out of range"),
        ([__file__, "--fps", "abc"], "--fps: 'abc' is no number"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_said_in_a_line(arguments: list[str], message: str) -> None:
    ended = evaluate(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_rendered_clip_is_judged() -> None:
    ended = evaluate(clip("synthetic/synth_drowsy.mp4"), "--fps", "10", "--json")
    assert ended.returncode == 0, ended.stderr
    (summary,) = json.loads(ended.stdout)["summary"]
    assert (summary["closures"]["hits"], summary["closures"]["false"]) == (2, 0)
    assert summary["closure_delay"]["longest_s"] <= 0.5
