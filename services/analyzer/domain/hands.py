"""Is a hand raised, and when must the body be looked at to know. Pure.

A look at the body costs as much as eight frames of face landmarks. So it is taken when something moved that can have
been a hand, more often while a hand is up, and once in a while in any case.
"""

from dataclasses import dataclass
from typing import Literal

from services.analyzer.domain.body import Arm, Body

# In faces (forehead to chin, about 18 cm) above the shoulder. Wrists and shoulders are seen within 0.1.
_RAISED = 0.15
_LOWERED = 0.0
# Visibility from which a joint counts. Raised wrists of people had 0.63 and more; where the model placed a wrist above
# the shoulder that was not in the picture, it said 0.10 at most.
_SEEN = 0.35
_GUESSED = 0.15  # something of an arm may be there, blurred by its motion

_HEARTBEAT_MS = 20_000.0
_RAISED_HEARTBEAT_MS = 750.0
_CHECK_EVERY_MS = 200.0  # for motion: costs a hundredth of a look

_EARLY = 0.95  # frames do not come to the millisecond; one that is as good as due counts

Due = Literal["now", "if_moved", "no"]


@dataclass(frozen=True, slots=True)
class Hands:
    """`raised` is None before the first look, and when the last one found no body. `doubted`: one look can miss what
    moves, so the last one, which saw no hand up, is followed by another."""

    raised: bool | None = None
    doubted: bool = False
    looked_at_ms: float | None = None


def look_due(hands: Hands, now_ms: float, dt_ms: float, every_ms: float) -> Due:
    """Whether to look at the body in a frame `dt_ms` after the one before: in any case, or if something beside or below
    the face moved since the last look. `every_ms` is the least time between two looks, nearly."""
    if hands.looked_at_ms is None:
        return "now"
    since_ms = now_ms - hands.looked_at_ms
    every_ms *= _EARLY
    if since_ms < every_ms:
        return "no"
    if hands.doubted or since_ms >= (_RAISED_HEARTBEAT_MS if hands.raised else _HEARTBEAT_MS):
        return "now"
    checked = since_ms - dt_ms >= every_ms and since_ms // _CHECK_EVERY_MS == (since_ms - dt_ms) // _CHECK_EVERY_MS
    return "no" if checked else "if_moved"


def see(hands: Hands, body: Body | None, face_px: float, now_ms: float) -> Hands:
    """What a look at the body found; `face_px` is the face's height."""
    height = max(lift(body.left, face_px), lift(body.right, face_px)) if body else float("-inf")
    if height >= (_LOWERED if hands.raised else _RAISED):
        return Hands(raised=True, looked_at_ms=now_ms)
    if hands.raised and not hands.doubted:
        return Hands(raised=True, doubted=True, looked_at_ms=now_ms)
    if body is None:
        return Hands(looked_at_ms=now_ms)
    coming = max(body.left.wrist.visibility, body.right.wrist.visibility) >= _GUESSED
    return Hands(raised=False, doubted=coming and not hands.doubted, looked_at_ms=now_ms)


def lift(arm: Arm, face_px: float) -> float:
    """How far the wrist is above the shoulder, in faces; −inf when there is none to be seen.

    A wrist that left the picture is up when an elbow that is seen is above the shoulder, with the wrist above it.
    """
    shoulder, elbow, wrist = arm.shoulder, arm.elbow, arm.wrist
    if wrist.visibility >= _SEEN:
        return (shoulder.y_px - wrist.y_px) / face_px
    if elbow.visibility >= _SEEN and wrist.y_px < elbow.y_px:
        return (shoulder.y_px - elbow.y_px) / face_px
    return float("-inf")
