"""Truth files: what is read, what is derived, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.analyzer.evaluation.truth import Moment, Span, Truth, UnreadableTruth, complete, kind_of, read_truth


def written(folder: Path, value: Any) -> Path:
    path = folder / "clip.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def lids(*closed: float) -> list[Moment]:
    """A frame every 100 ms."""
    return [Moment(number / 10, closed=each) for number, each in enumerate(closed)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("eyes_closed", "closure"),
        ("Long-Closure", "closure"),
        ("hand raise", "hand_raised"),
        ("face_fully_absent", "absent"),
        ("left", "absent"),
        ("surprise", "surprised"),
        ("juggling", "juggling"),
    ],
)
def test_a_kind_has_one_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_a_file_is_read(tmp_path: Path) -> None:
    frame = {"frame": 3, "t": 0.1, "coef": {"eyeBlink_L": 0.4, "eyeBlink_R": 0.6}, "yaw": 1, "pitch": -2, "roll": 0.5}
    events = [{"type": "squint", "start": 3, "end": 4}, {"type": "smile", "start": 1, "end": 2, "amplitude": 45}]
    truth = read_truth(written(tmp_path, {"fps": 30, "events": events, "frames": [frame]}))
    assert truth.spans == (Span("happy", 1, 2), Span("squint", 3, 4))
    assert truth.moments == (Moment(0.1, 1, -2, 0.5, 0.5),)
    assert truth.other_kinds == ["squint"]


def test_frames_without_coefficients_say_nothing_of_the_lids(tmp_path: Path) -> None:
    told = {"t": 0, "coef": {}}
    assert read_truth(written(tmp_path, {"events": [], "frames": [{"t": 0}]})).moments[0].closed is None
    assert read_truth(written(tmp_path, {"events": [], "frames": [told]})).moments[0].closed == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[", "not JSON"),
        ("\udcff", "not JSON"),
        ([], "value"),
        ({}, "events"),
        ({"events": [{"type": "blink", "start": 1}]}, r"events\.0\.end"),
        ({"events": [{"type": "blink", "start": 2, "end": 1}]}, r"events\.0.*end is before start"),
        ({"events": [{"type": "blink", "start": float("nan"), "end": 1}]}, r"events\.0\.start"),
        ({"events": [], "frames": [{"t": 0, "yaw": "left"}]}, r"frames\.0\.yaw"),
    ],
)
def test_what_cannot_be_read_names_the_field(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "clip.json"
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UnreadableTruth, match=rf"clip\.json: {message}"):
        read_truth(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableTruth, match=r"none\.json: No such file"):
        read_truth(tmp_path / "none.json")


def test_what_only_the_lids_tell_is_added() -> None:
    moments = lids(0, 1, 1, 0, 0, *[0.9] * 12, 0)
    assert complete([], moments).spans == (Span("blink", 0.1, 0.2), Span("closure", 0.5, 1.6))


def test_what_is_told_twice_is_there_once() -> None:
    known = Span("blink", 0.1, 0.17)
    assert complete([known], lids(0, 1, 1, 0)).spans == (known,)


def test_absence_follows_from_presence() -> None:
    truth = complete([Span("present", 1, 2), Span("present", 4, 6)], [Moment(0), Moment(6)])
    assert truth.of("absent") == (Span("absent", 0, 1), Span("absent", 2, 4))


def test_the_nearest_frame_counts() -> None:
    truth = Truth(moments=(Moment(0.0, 1), Moment(0.033, 2), Moment(0.067, 3)))
    assert [getattr(truth.at(at_s), "yaw_deg", None) for at_s in (0.0, 0.03, 0.06, 0.5)] == [1, 2, 3, None]


def test_perclos_from_the_lids() -> None:
    """Between 0 and 1 the level of 0.8 is crossed after four fifths of the way."""
    truth = Truth(moments=tuple(lids(0, 1, 1, 0, *[0] * 7)))
    assert truth.perclos(1.0) == pytest.approx((0.02 + 0.1 + 0.02) / 1.0)


def test_perclos_from_the_events() -> None:
    truth = Truth((Span("blink", 1, 1.5), Span("closure", 4, 6)))
    assert truth.perclos(10) == pytest.approx(0.25, abs=0.005)


def test_perclos_is_about_the_last_minute_with_somebody_there() -> None:
    early, away, late = Span("closure", 1, 5), Span("absent", 20, 30), Span("closure", 84, 90)
    assert Truth((early, away, late)).perclos(90) == pytest.approx(6 / 60, abs=0.002)
    assert Truth((Span("absent", 0, 10),)).perclos(10) is None
