"""What a student of the bench can do. To add something: one entry, with the kind that the truth calls it.

Kinds that the score has no metric for (talking, squinting, turning, …) are there to be mistaken for others.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from services.client.pose import Pose

Change = Callable[[Pose, float, float, int], Pose]


@dataclass(frozen=True, slots=True)
class Act:
    """`kind` is the truth's. `held_s` and `ramp_s` are ranges in seconds: how long it is there in full, and how long it
    takes to come and, again, to go. `change(pose, amount 0..1, seconds since its beginning, side −1 or 1)`.
    `blinks` says whether one can blink meanwhile."""

    kind: str
    held_s: tuple[float, float]
    ramp_s: tuple[float, float]
    change: Change
    blinks: bool = True


def _lids(pose: Pose, down: float) -> Pose:
    return replace(pose, eyes=min(pose.eyes, 1 - down))


def _gaze(x: float, y: float, lids: float = 0.0) -> Change:
    """Eyes only, as far as people turn them without the head; looking down takes the lids along."""

    def change(pose: Pose, amount: float, _at_s: float, _side: int) -> Pose:
        looking = replace(
            pose, look_x=pose.look_x * (1 - amount) + x * amount, look_y=pose.look_y * (1 - amount) + y * amount
        )
        return _lids(looking, lids * amount)

    return change


def _turn(yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> Change:
    def change(pose: Pose, amount: float, _at_s: float, side: int) -> Pose:
        return replace(
            pose,
            yaw_deg=pose.yaw_deg + side * amount * yaw_deg,
            pitch_deg=pose.pitch_deg + side * amount * pitch_deg,
            roll_deg=pose.roll_deg + side * amount * roll_deg,
        )

    return change


def _blink(pose: Pose, amount: float, _at_s: float, _side: int) -> Pose:
    return _lids(pose, amount)


def _yawn(pose: Pose, amount: float, _at_s: float, _side: int) -> Pose:
    return _lids(replace(pose, mouth=amount), 0.4 * amount)


def _talk(pose: Pose, amount: float, at_s: float, _side: int) -> Pose:
    """Syllables at four a second, not all as wide."""
    syllable = math.sin(2 * math.pi * 2 * at_s) ** 2 * (0.6 + 0.4 * math.sin(2.3 * at_s))
    return replace(pose, mouth=0.3 * amount * syllable)


def _sing(pose: Pose, amount: float, at_s: float, _side: int) -> Pose:
    """Wide vowels of 0.7 s."""
    return replace(pose, mouth=0.7 * amount * math.sin(math.pi * at_s / 0.9) ** 2)


def _express(*, smile: float = 0.0, brows: float = 0.0, mouth: float = 0.0) -> Change:
    def change(pose: Pose, amount: float, _at_s: float, _side: int) -> Pose:
        return replace(pose, smile=smile * amount, brows=brows * amount, mouth=mouth * amount)

    return change


def _leave(pose: Pose, amount: float, _at_s: float, side: int) -> Pose:
    """Slowly up from the chair, then quickly out of the picture."""
    return replace(pose, present=amount < 1, x=pose.x + side * 0.95 * amount**2)


def _hand(pose: Pose, amount: float, _at_s: float, side: int) -> Pose:
    return replace(pose, hand_raised=amount, hand_side=side)


BLINK = Act("blink", (0.03, 0.2), (0.06, 0.1), _blink)

SCENES = (
    Act("closure", (1.2, 3.0), (0.1, 0.3), _blink, blinks=False),
    Act("yawn", (1.5, 2.5), (0.5, 0.8), _yawn, blinks=False),
    Act("talking", (2.0, 3.0), (0.1, 0.2), _talk),
    Act("singing", (2.0, 3.0), (0.1, 0.2), _sing),
    Act("squint", (1.0, 2.0), (0.2, 0.4), lambda pose, amount, _at_s, _side: _lids(pose, 0.4 * amount), blinks=False),
    Act("gaze_left", (1.5, 2.5), (0.1, 0.2), _gaze(-0.65, 0.0)),
    Act("gaze_right", (1.5, 2.5), (0.1, 0.2), _gaze(0.65, 0.0)),
    Act("gaze_up", (1.5, 2.5), (0.1, 0.2), _gaze(0.0, 0.4)),
    Act("gaze_down", (1.5, 2.5), (0.1, 0.2), _gaze(0.0, -0.4, lids=0.2)),
    Act("turned", (1.0, 2.0), (0.4, 0.8), _turn(yaw_deg=30)),
    Act("nodding", (1.0, 2.0), (0.4, 0.8), _turn(pitch_deg=12)),
    Act("tilted", (1.0, 2.0), (0.4, 0.8), _turn(roll_deg=18)),
    Act("happy", (1.5, 2.5), (0.3, 0.5), _express(smile=0.8)),
    Act("sad", (1.5, 2.5), (0.3, 0.5), _express(smile=-0.8)),
    Act("surprised", (1.5, 2.5), (0.2, 0.4), _express(brows=0.8, mouth=0.25)),
    Act("angry", (1.5, 2.5), (0.3, 0.5), _express(brows=-0.8)),
    Act("absent", (2.0, 3.5), (0.4, 0.6), _leave, blinks=False),
    Act("hand_raised", (2.0, 3.5), (0.4, 0.7), _hand),
)
