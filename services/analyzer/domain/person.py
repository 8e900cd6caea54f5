"""What is known of the person in front of the camera, and what a measurable frame adds to it."""

from dataclasses import dataclass, field
from math import hypot

from schemas.events import Gaze, HeadPose
from services.analyzer.domain import eyes as eyes_
from services.analyzer.domain import head as head_
from services.analyzer.domain import mouth as mouth_
from services.analyzer.domain import perclos as perclos_
from services.analyzer.domain import stillness as stillness_
from services.analyzer.domain.attention import engagement_parts, line_of_sight_deg
from services.analyzer.domain.directions import GazeCentre, eyes_deg, head_label, look
from services.analyzer.domain.eyes import Eyes
from services.analyzer.domain.faces import Region
from services.analyzer.domain.geometry import Geometry
from services.analyzer.domain.head import Head
from services.analyzer.domain.mouth import Mouth
from services.analyzer.domain.perclos import Perclos
from services.analyzer.domain.stillness import Stillness

_FRONTAL_YAW_DEG = 30.0
_FRONTAL_PITCH_DEG = 20.0
# Who cannot be measured for no longer than this, in a blurred frame or two, goes on with what was under way.
_BRIDGED_MS = 300.0


@dataclass(frozen=True, slots=True)
class Person:
    """Memory of eyes, mouth, head and gaze: baselines, counters, and what is under way. `seen_at_ms` is the last
    measurable frame that this goes on from, None after a loss; `glance_deg` is where the eyes pointed when that was
    last measurable, to image right of the head's direction."""

    eyes: Eyes = field(default=Eyes())
    perclos: Perclos = field(default=Perclos())
    mouth: Mouth = field(default=Mouth())
    centre: GazeCentre = field(default=GazeCentre())
    head: Head = field(default=Head())
    stillness: Stillness = field(default=Stillness())
    glance_deg: float = 0.0
    seen_at_ms: float | None = None

    def counters_only(self) -> "Person":
        """Of a session that has ended."""
        return Person(eyes=Eyes(blink_count=self.eyes.blink_count), mouth=Mouth(yawn_count=self.mouth.yawn_count))


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurable frame in the light of that memory; fields as in `FrameMetrics` and `Quality`."""

    still: bool | None

    eyes_closed: bool | None
    perclos: float | None
    drowsy: bool | None
    yawning: bool
    gaze_h: float | None
    gaze_v: float | None
    gaze: Gaze | None
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    head_pose: HeadPose
    engagement: float | None
    engagement_parts: dict[str, float] | None


def lose(person: Person) -> Person:
    """The person cannot be measured, or time jumped: what was under way is not known to go on."""
    eyes, mouth, head = eyes_.lose(person.eyes), mouth_.lose(person.mouth), head_.lose(person.head)
    return Person(eyes, person.perclos, mouth, person.centre, head)


def miss(person: Person, now_ms: float) -> Person:
    """The person cannot be measured in this frame."""
    bridged = person.seen_at_ms is not None and now_ms - person.seen_at_ms <= _BRIDGED_MS
    return person if bridged else lose(person)


def see(
    person: Person, seen: Geometry, region: Region | None, now_ms: float, since_ms: float
) -> tuple[Person, Reading]:
    """A measurable frame, `since_ms` after the last one of the session; `region` is where the face is."""
    dt_ms = since_ms if person.seen_at_ms is None else now_ms - person.seen_at_ms
    frontal = abs(seen.yaw_deg) <= _FRONTAL_YAW_DEG and abs(seen.pitch_deg) <= _FRONTAL_PITCH_DEG
    mouth = mouth_.see(person.mouth, seen.mar, now_ms, dt_ms)
    eyes = eyes_.lose(person.eyes)
    if seen.lids is not None:
        eyes = eyes_.see(person.eyes, seen.lids, now_ms, dt_ms, frontal=frontal, mouth_wide=mouth.moves_lids)
    perclos = perclos_.account(person.perclos, person.eyes, eyes, dt_ms)

    closed = eyes.closed
    head, angles = head_.see(person.head, seen, dt_ms, eyes_open=eyes.open)
    centre, gaze = look(person.centre, seen, eyes.open_lids if eyes.open else None, dt_ms)
    glance_deg = eyes_deg(gaze.h) if gaze else person.glance_deg

    share, closed_ms = perclos.value(), eyes.closed_ms(now_ms)
    stillness = stillness_.see(person.stillness, seen, region, now_ms, dt_ms, closed=closed)
    parts = None
    if not stillness.still:  # a still says nothing of whoever holds it
        parts = engagement_parts(
            head_deg=hypot(seen.yaw_deg, seen.pitch_deg),
            look_deg=line_of_sight_deg(seen.yaw_deg, seen.pitch_deg, glance_deg),
            perclos=share,
            closed_ms=closed_ms,
        )
    reading = Reading(
        still=stillness.still,
        eyes_closed=None if seen.lids is None else closed,
        perclos=share,
        drowsy=None if seen.lids is None or stillness.still else closed_ms >= eyes_.DROWSY_MS,
        yawning=mouth.yawning,
        gaze_h=gaze.h if gaze else None,
        gaze_v=gaze.v if gaze else None,
        gaze=gaze.label if gaze else None,
        yaw_deg=angles.yaw_deg,
        pitch_deg=angles.pitch_deg,
        roll_deg=angles.roll_deg,
        head_pose=head_label(angles),
        engagement=min(1.0, sum(parts.values())) if parts else None,
        engagement_parts=parts,
    )
    return Person(eyes, perclos, mouth, centre, head, stillness, glance_deg, now_ms), reading
