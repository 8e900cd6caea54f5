"""The drawn face as a picture; that MediaPipe tracks it is shown in tests/integration/test_client_drawn_mesh.py."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from schemas.frames import jpeg_size
from services.client.drawn import SIZE, Image, Look, Pose, draw, draw_jpeg, encode_jpeg


def test_a_frame_has_the_size_asked_for() -> None:
    for width, height in (SIZE, (160, 120), (641, 479)):
        image = draw(Pose(), (width, height))
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert jpeg_size(draw_jpeg(Pose(), (width, height))) == (width, height)


def test_the_same_arguments_give_the_same_picture_in_any_thread() -> None:
    poses = [Pose(x=0.01 * number, eyes=number % 2) for number in range(8)]

    def drawn(number: int) -> bytes:
        return draw(poses[number], grain=number).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(drawn, range(8))) == [drawn(number) for number in range(8)]


def test_grain_changes_a_little_everywhere() -> None:
    change = np.abs(draw(Pose(), grain=1).astype(int) - draw(Pose(), grain=2))
    assert 0 < change.mean() < 6
    assert change.max() < 40


@pytest.mark.parametrize(
    "pose",
    [
        Pose(eyes=0),
        Pose(eyes=0.5),
        Pose(mouth=0.5),
        Pose(mouth=1),
        Pose(smile=1),
        Pose(smile=-1),
        Pose(brows=1),
        Pose(brows=-1),
        Pose(look_x=1),
        Pose(look_y=1),
        Pose(yaw_deg=20),
        Pose(pitch_deg=20),
        Pose(roll_deg=10),
        Pose(x=0.1),
        Pose(y=0.1),
        Pose(scale=0.7),
        Pose(hand_raised=1),
        Pose(hand_raised=1, hand_side=-1),
        Pose(hand_raised=0.5),
        Pose(present=False),
        Pose(x=5.0),
        Pose(eyes=7, mouth=9, smile=-7, brows=-9, look_x=3, yaw_deg=200, hand_raised=5),
    ],
    ids=str,
)
def test_every_part_of_a_pose_shows(pose: Pose) -> None:
    assert _changed(draw(pose), draw(Pose())) > 20


def test_nobody_is_the_room_alone() -> None:
    assert _changed(draw(Pose(present=False)), draw(Pose(present=False, eyes=0, x=0.2))) == 0
    assert _changed(draw(Pose(present=False)), draw(Pose(x=5.0))) == 0


def test_students_differ() -> None:
    looks = [Look.of(seed) for seed in range(4)]
    assert len({look.skin for look in looks} | {look.hair for look in looks}) > 4
    for one, other in itertools.pairwise(looks):
        assert _changed(draw(Pose(), look=one), draw(Pose(), look=other)) > 10_000


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="10×8"):
        draw(Pose(), (10, 8))
    with pytest.raises(ValueError, match="encoded"):
        encode_jpeg(np.zeros((70_000, 1, 3), np.uint8))


def _changed(one: Image, other: Image) -> int:
    """Pixels that differ by more than grain."""
    return int((np.abs(one.astype(int) - other).max(axis=2) > 45).sum()) if (one != other).any() else 0
