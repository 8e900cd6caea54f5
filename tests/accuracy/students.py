"""Seeded students of the bench: each another look, distance, light and timetable; drawn once, watched at any rate."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil

import cv2

from services.analyzer.evaluation.truth import Moment, Span, Truth, complete
from services.client.drawn import Look, Pose, draw, encode_jpeg
from services.client.timetable import Timetable
from tests.accuracy.acts import BLINK, SCENES, Act

FPS = 30  # at which they are drawn; every rate of the bench divides it
SECONDS = 30.0
STUDENTS = 12
SCENES_EACH = 6  # as many as there is time for

_FIRST_S = 3.0  # nobody knows the person before
_QUIET_S = (1.2, 2.0)  # between two scenes
_BLINK_EVERY_S = (0.4, 4.0)
_GUARD_S = 0.5  # between a blink and what hides it


@dataclass(frozen=True, slots=True)
class Scene:
    """An act at its time: coming from `start_s`, there in full from `full_s` to `until_s`, gone at `end_s`."""

    act: Act
    start_s: float
    full_s: float
    until_s: float
    end_s: float
    side: int

    def amount(self, at_s: float) -> float:
        rising = (at_s - self.start_s) / (self.full_s - self.start_s)
        falling = (self.end_s - at_s) / (self.end_s - self.until_s)
        return max(0.0, min(1.0, rising, falling))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A student's frames. A clip for the evaluation."""

    name: str
    truth: Truth
    jpegs: list[bytes] = field(repr=False)
    phase: int  # the frame at which slower rates begin

    def frames(self, fps: float) -> Iterator[tuple[int, bytes]]:
        step = round(FPS / fps)
        for number in range(self.phase % step, len(self.jpegs), step):
            yield round(number * 1000 / FPS), self.jpegs[number]


class Student:
    """Number `seed`, of `STUDENTS`."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        self.name = f"student {seed}"
        self._seed = seed
        self._still = Timetable(seed, 0)
        self._scale = chance.uniform(0.6, 1.1)
        self._light = chance.uniform(0.5, 1.1)
        self._size = (640, 480) if seed % 6 == 3 else (320, 240)
        self._quality = chance.choice((60, 75, 90))
        scenes = list(_scenes(chance, _dealt(seed)))
        self._scenes = [*scenes, *_blinks(chance, scenes)]

    @property
    def truth(self) -> Truth:
        spans = [Span(scene.act.kind, scene.full_s, scene.until_s) for scene in self._scenes]
        poses = [(number / FPS, self.pose_at(number / FPS)) for number in range(ceil(SECONDS * FPS))]
        return complete(spans, [Moment(t, p.yaw_deg, p.pitch_deg, p.roll_deg, 1 - p.eyes) for t, p in poses])

    def pose_at(self, at_s: float) -> Pose:
        pose = replace(self._still.pose_at(at_s), scale=self._scale)
        for scene in self._scenes:
            amount = scene.amount(at_s)
            if amount > 0:
                pose = scene.act.change(pose, amount, at_s - scene.start_s, scene.side)
        return pose

    def draw(self) -> Drawn:
        look, jpegs = Look.of(self._seed), []
        for number in range(ceil(SECONDS * FPS)):
            image = draw(self.pose_at(number / FPS), self._size, look, number)
            jpegs.append(encode_jpeg(cv2.convertScaleAbs(image, alpha=self._light), self._quality))  # type: ignore[arg-type]
        return Drawn(self.name, self.truth, jpegs, self._seed)


def _dealt(seed: int) -> list[Act]:
    """A student's part of a deck in which every act is equally often."""
    chance = random.Random(0)  # noqa: S311
    deck = [act for _ in range(STUDENTS * SCENES_EACH) for act in chance.sample(SCENES, len(SCENES))]
    return deck[seed * SCENES_EACH : (seed + 1) * SCENES_EACH]


def _scenes(chance: random.Random, acts: list[Act]) -> Iterator[Scene]:
    at_s = _FIRST_S + chance.uniform(0, 1)
    for act in acts:
        scene = _scene(chance, act, at_s)
        if scene.end_s > SECONDS - 1:
            return
        yield scene
        at_s = scene.end_s + chance.uniform(*_QUIET_S)


def _blinks(chance: random.Random, scenes: list[Scene]) -> Iterator[Scene]:
    """Wherever nothing hides them; now and then two in a row."""
    hiding = [scene for scene in scenes if not scene.act.blinks]
    at_s = 1.5 + chance.uniform(0, 1)
    while at_s < SECONDS - 1:
        blink = _scene(chance, BLINK, at_s)
        if not any(s.start_s - _GUARD_S < blink.end_s and blink.start_s < s.end_s + _GUARD_S for s in hiding):
            yield blink
        at_s = blink.end_s + chance.uniform(*_BLINK_EVERY_S)


def _scene(chance: random.Random, act: Act, at_s: float) -> Scene:
    full_s = at_s + chance.uniform(*act.ramp_s)
    until_s = full_s + chance.uniform(*act.held_s)
    return Scene(act, at_s, full_s, until_s, until_s + chance.uniform(*act.ramp_s), chance.choice((-1, 1)))
