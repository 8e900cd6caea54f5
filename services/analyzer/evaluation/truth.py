"""What really happened in a clip: read from the JSON file beside it, or told by a student who was drawn.

The file: `events` with `type`, `start`, `end` in seconds, and `frames` with `t`, `yaw`, `pitch`, `roll` in degrees and
`coef`, ARKit's blendshapes 0..1. Kinds of events have several names in the field; what has no metric of its own
(talking, squinting, …) is kept, to tell what was going on when a blink was counted that was none.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, model_validator

from schemas.base import wrong_fields

CLOSED = 0.8  # of the way from open to shut: P80
BLINK_AT_MOST_S = 0.5
LONG_CLOSURE_S = 1.0
PERCLOS_WINDOW_S = 60.0

_NAMES = {
    "blink": "blink blinks",
    "closure": "eyes_closed closure long_closure eye_closure long_blink microsleep drowsy",
    "yawn": "yawn yawning",
    "gaze_left": "gaze_left",
    "gaze_right": "gaze_right",
    "gaze_up": "gaze_up",
    "gaze_down": "gaze_down",
    "gaze_center": "gaze_center gaze_centre",
    "absent": "face_fully_absent face_absent no_face absent absence left leave away",
    "present": "present face_present",
    "dark": "dark too_dark",
    "blurred": "blurred blur out_of_focus",
    "face_small": "face_small too_small",
    "turned_away": "turned_away",
    "hand_raised": "hand_raised hand_raise raised_hand raise_hand hand_up hand",
    "happy": "smile smiling happy",
    "sad": "frown frowning sad",
    "surprised": "surprise surprised",
    "angry": "anger angry",
    "neutral": "neutral",
}
# While one of these lasts, nobody can measure: to refuse is right, and what is missed is not missed.
_HIDING = ("absent", "dark", "blurred", "face_small", "turned_away")
_KIND = {name: kind for kind, names in _NAMES.items() for name in names.split()}


class UnreadableTruth(ValueError):
    """Not a truth file. The message names the file and the field."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted from `start_s` to `end_s`, at its full: the lids shut, the mouth wide."""

    kind: str
    start_s: float
    end_s: float

    @property
    def lasts_s(self) -> float:
        return self.end_s - self.start_s

    def overlaps(self, start_s: float, end_s: float) -> bool:
        return self.start_s <= end_s and start_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame. `closed` 0..1 is how far the lids are down; None where nobody knows."""

    at_s: float
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    closed: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """`spans` have the kinds of `_NAMES` where they are known, else the kind that was written."""

    spans: tuple[Span, ...] = ()
    moments: tuple[Moment, ...] = field(default=(), repr=False)

    def of(self, *kinds: str) -> tuple[Span, ...]:
        return tuple(span for span in self.spans if span.kind in kinds)

    @property
    def other_kinds(self) -> list[str]:
        return sorted({span.kind for span in self.spans} - set(_NAMES))

    def at(self, at_s: float, within_s: float = 0.05) -> Moment | None:
        """The frame nearest to a time."""
        after = bisect_left(self.moments, at_s, key=lambda moment: moment.at_s)
        near = self.moments[max(0, after - 1) : after + 1]
        best = min(near, key=lambda moment: abs(moment.at_s - at_s), default=None)
        return best if best is not None and abs(best.at_s - at_s) <= within_s else None

    def hides(self, start_s: float, end_s: float) -> bool:
        """Whether, at any time between, the person is not there or cannot be measured."""
        return any(span.overlaps(start_s, end_s) for span in self.of(*_HIDING))

    def hidden(self, start_s: float, end_s: float) -> bool:
        """Whether that lasts from the one to the other."""
        return any(span.start_s <= start_s and end_s <= span.end_s for span in self.of(*_HIDING))

    def perclos(self, until_s: float) -> float | None:
        """Share of the last 60 measurable seconds in which the lids were 80 % down; None where there are none.

        From the lids' coefficients, linear between frames; from the events where there are none.
        """
        if any(moment.closed is not None for moment in self.moments):
            moments = [moment for moment in self.moments if moment.at_s <= until_s]
        else:
            shut, times = self.of("blink", "closure"), range(round(until_s * 100) + 1)
            lids = [any(span.overlaps(number / 100, number / 100) for span in shut) for number in times]
            moments = [Moment(number / 100, closed=float(down)) for number, down in zip(times, lids, strict=True)]
        whole_s = closed_s = 0.0
        for before, after in reversed(list(pairwise(moments))):
            if whole_s < PERCLOS_WINDOW_S and not self.hides(after.at_s, after.at_s):
                whole_s += after.at_s - before.at_s
                closed_s += _closed_s(before, after)
        return closed_s / whole_s if whole_s else None


def kind_of(name: str) -> str:
    """The one name of a kind that has several."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _KIND.get(plain, plain)


def complete(spans: Iterable[Span], moments: Iterable[Moment]) -> Truth:
    """The whole truth: blinks and closures that only the lids' coefficients tell are added, absences that only
    follow from when somebody is present too."""
    known, frames = list(spans), tuple(sorted(moments, key=lambda moment: moment.at_s))
    eyes = [span for span in known if span.kind in ("blink", "closure")]
    for start_s, end_s in _shut(frames):
        if not any(span.overlaps(start_s - 0.1, end_s + 0.1) for span in eyes):
            known.append(Span("blink" if end_s - start_s <= BLINK_AT_MOST_S else "closure", start_s, end_s))
    present = sorted((span for span in known if span.kind == "present"), key=lambda span: span.start_s)
    if present and not any(span.kind == "absent" for span in known):
        end_s = frames[-1].at_s if frames else present[-1].end_s
        edges = [0.0, *(edge for span in present for edge in (span.start_s, span.end_s)), end_s]
        known += [Span("absent", a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    return Truth(tuple(sorted(known, key=lambda span: (span.start_s, span.end_s))), frames)


def _shut(moments: tuple[Moment, ...]) -> Iterator[tuple[float, float]]:
    """First and last frame of every time that the lids are down."""
    since_s: float | None = None
    for moment, following in pairwise((*moments, Moment(float("inf")))):
        down = moment.closed is not None and moment.closed >= CLOSED
        if down and since_s is None:
            since_s = moment.at_s
        if since_s is not None and (following.closed is None or following.closed < CLOSED):
            yield since_s, moment.at_s
            since_s = None


def _closed_s(before: Moment, after: Moment) -> float:
    """For how long between two frames the lids were down."""
    lasts_s, a, b = after.at_s - before.at_s, before.closed or 0.0, after.closed or 0.0
    if (a >= CLOSED) == (b >= CLOSED):
        return lasts_s if a >= CLOSED else 0.0
    return lasts_s * (max(a, b) - CLOSED) / abs(b - a)


Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Event(BaseModel):
    type: str = Field(min_length=1)
    start: Finite = Field(ge=0)
    end: Finite

    @model_validator(mode="after")
    def _in_order(self) -> "_Event":
        if self.end < self.start:
            raise ValueError("end is before start")
        return self


class _Frame(BaseModel):
    t: Finite = Field(ge=0)
    coef: dict[str, Finite] | None = None
    yaw: Finite | None = None
    pitch: Finite | None = None
    roll: Finite | None = None

    def moment(self, *, lids_known: bool) -> Moment:
        lids = [value for name, value in (self.coef or {}).items() if name.lower().startswith("eyeblink")]
        closed = sum(lids) / 2 if lids_known else None  # what a file leaves out is 0
        return Moment(self.t, self.yaw, self.pitch, self.roll, closed)


class _File(BaseModel):
    events: list[_Event]
    frames: list[_Frame] = []


def read_truth(path: Path) -> Truth:
    """Raises `UnreadableTruth`."""
    try:
        file = _File.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UnreadableTruth(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise UnreadableTruth(f"{path}: {wrong_fields(error)}") from None
    except ValueError as error:
        raise UnreadableTruth(f"{path}: not JSON: {error}") from None
    lids_known = any(frame.coef is not None for frame in file.frames)
    spans = [Span(kind_of(event.type), event.start, event.end) for event in file.events]
    return complete(spans, [frame.moment(lids_known=lids_known) for frame in file.frames])
