"""What a drawn student does and when: blinks, yawns, looks aside, raised hands, absences. Pure, seeded: truth is known.

Blinks are shut for at least 110 ms: 10 fps see every one of them. They keep away from all else, and the first comes
after the analyzer has had time to learn what open eyes look like.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from services.client.pose import Pose

Kind = Literal["blink", "yawn", "look_away", "raise_hand", "leave"]

FIRST_BLINK_S = 2.5
BLINK_CLOSING_S = 0.06
BLINK_OPENING_S = 0.08
BLINK_SHUT_S = (0.11, 0.20)
BLINK_EVERY_S = (2.2, 4.2)
YAWN_S = (2.3, 3.0)
LOOK_AWAY_S = (2.0, 3.0)
RAISE_HAND_S = (2.5, 4.0)
LEAVE_S = (2.5, 4.0)
FIRST_SCENE_S = (5.0, 8.0)  # a scene is all but a blink
SCENE_EVERY_S = (7.0, 11.0)  # from the end of one to the next
GUARD_S = 0.8  # quiet between a blink and a scene
LAST_S = 1.0  # quiet at the end, so that what was drawn is also seen

_SCENES: tuple[Kind, ...] = ("yawn", "look_away", "raise_hand", "yawn", "leave")
_SCENE_S: dict[Kind, tuple[float, float]] = {
    "yawn": YAWN_S,
    "look_away": LOOK_AWAY_S,
    "raise_hand": RAISE_HAND_S,
    "leave": LEAVE_S,
}
_RAMP_S: dict[Kind, float] = {"yawn": 0.6, "look_away": 0.4, "raise_hand": 0.5, "leave": 0.4}
_OUT_OF_FRAME = 0.95  # widths from the middle at which nothing of the head is left


@dataclass(frozen=True, slots=True)
class Event:
    """`side` is −1 (image left) or 1."""

    kind: Kind
    start_s: float
    end_s: float
    side: int = 1

    @property
    def full_from_s(self) -> float:
        """From here to `full_to_s` it is all there: eyes shut, mouth wide, face turned, hand up, nobody."""
        return self.start_s + (BLINK_CLOSING_S if self.kind == "blink" else _RAMP_S[self.kind])

    @property
    def full_to_s(self) -> float:
        return self.end_s - (BLINK_OPENING_S if self.kind == "blink" else _RAMP_S[self.kind])

    def amount(self, at_s: float) -> float:
        """How far it has come at a time: 0 not at all, 1 fully; linear between."""
        if not self.start_s < at_s < self.end_s:
            return 0.0
        rising = (at_s - self.start_s) / (self.full_from_s - self.start_s)
        falling = (self.end_s - at_s) / (self.end_s - self.full_to_s)
        return min(1.0, rising, falling)


@dataclass(frozen=True, slots=True)
class Truth:
    """How often each happened from its beginning to its end."""

    blinks: int = 0
    yawns: int = 0
    looks_away: int = 0
    hands_raised: int = 0
    absences: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Truth":
        kinds = [event.kind for event in events]
        return cls(
            blinks=kinds.count("blink"),
            yawns=kinds.count("yawn"),
            looks_away=kinds.count("look_away"),
            hands_raised=kinds.count("raise_hand"),
            absences=kinds.count("leave"),
        )


class Timetable:
    """The same `seed` and `duration_s` give the same student. Times in seconds since its beginning."""

    def __init__(self, seed: int, duration_s: float) -> None:
        chance = random.Random(seed)  # noqa: S311
        self._phases = tuple(chance.uniform(0, 2 * math.pi) for _ in range(4))
        scenes = list(_scenes(chance, seed, duration_s))
        blinks = _blinks(chance, scenes, duration_s)
        self.events: tuple[Event, ...] = tuple(sorted([*scenes, *blinks], key=lambda event: event.start_s))
        self._starts = [event.start_s for event in self.events]

    def pose_at(self, t_s: float) -> Pose:
        """What is to be drawn at a time."""
        still = self._still(t_s)
        at = bisect_right(self._starts, t_s) - 1
        if at < 0:
            return still
        event = self.events[at]
        return _posed(event, event.amount(t_s), still)

    def truth(self, up_to_s: float) -> Truth:
        """What was complete at a time."""
        return Truth.of(event for event in self.events if event.end_s <= up_to_s)

    def drawn(self, captured_s: Iterable[float]) -> Truth:
        """What these captures show: at least one while an event is full, and one after its end."""
        times = sorted(captured_s)

        def shown(event: Event) -> bool:
            first = bisect_right(times, event.full_from_s - 1e-9)
            return bool(times) and times[-1] >= event.end_s and first < len(times) and times[first] <= event.full_to_s

        return Truth.of(event for event in self.events if shown(event))

    def _still(self, t_s: float) -> Pose:
        """Nobody sits like a statue: head and eyes drift a little."""
        a, b, c, d = self._phases
        return Pose(
            x=0.012 * math.sin(0.9 * t_s + a),
            y=0.008 * math.sin(0.7 * t_s + b),
            yaw_deg=3.0 * math.sin(0.5 * t_s + c),
            pitch_deg=2.0 * math.sin(0.4 * t_s + d),
            roll_deg=1.5 * math.sin(0.6 * t_s + a),
            look_x=0.15 * math.sin(0.8 * t_s + b),
            look_y=0.1 * math.sin(0.55 * t_s + c),
        )


def _posed(event: Event, amount: float, still: Pose) -> Pose:
    match event.kind:
        case "blink":
            return replace(still, eyes=1 - amount)
        case "yawn":
            return replace(still, mouth=_smooth(amount))
        case "look_away":
            turn = event.side * _smooth(amount)
            return replace(still, yaw_deg=still.yaw_deg + 30 * turn, look_x=still.look_x + 0.6 * turn)
        case "raise_hand":
            return replace(still, hand_raised=_smooth(amount), hand_side=event.side)
        case "leave":
            gone = amount**2  # slowly up from the chair, then quickly away
            return replace(still, present=amount < 1, x=still.x + event.side * _OUT_OF_FRAME * gone)


def _smooth(amount: float) -> float:
    """0..1 without corners."""
    return amount * amount * (3 - 2 * amount)


def _scenes(chance: random.Random, seed: int, duration_s: float) -> Iterator[Event]:
    """Yawns, looks aside, raised hands and absences in turn; students begin at different places of the round."""
    at_s, number = chance.uniform(*FIRST_SCENE_S), seed
    while True:
        kind = _SCENES[number % len(_SCENES)]
        lasts_s = chance.uniform(*_SCENE_S[kind])
        if at_s + lasts_s > duration_s - LAST_S:
            return
        yield Event(kind, at_s, at_s + lasts_s, chance.choice((-1, 1)))
        at_s += lasts_s + chance.uniform(*SCENE_EVERY_S)
        number += 1


def _blinks(chance: random.Random, scenes: list[Event], duration_s: float) -> Iterator[Event]:
    """Blinks wherever there is no scene."""
    at_s = FIRST_BLINK_S + chance.uniform(0, 0.5)
    ahead = iter(scenes)
    scene = next(ahead, None)
    while True:
        lasts_s = BLINK_CLOSING_S + chance.uniform(*BLINK_SHUT_S) + BLINK_OPENING_S
        while scene is not None and at_s + lasts_s > scene.start_s - GUARD_S:
            at_s = max(at_s, scene.end_s + GUARD_S + chance.uniform(0, 0.5))
            scene = next(ahead, None)
        if at_s + lasts_s > duration_s - LAST_S:
            return
        yield Event("blink", at_s, at_s + lasts_s)
        at_s += chance.uniform(*BLINK_EVERY_S)
