"""Is a hand raised, and when must the body be looked at to know. Pure.

A look at the body costs as much as eight frames of face landmarks. So it is taken when something moved that can have
been a hand, more often while a hand is up, and once in a while in any case.
"""

from dataclasses import dataclass

from services.analyzer.domain.body import Arm, Body

# In faces (forehead to chin, about 18 cm) above the shoulder. Wrists and shoulders are seen within 0.1.
_RAISED = 0.15
_LOWERED = 0.0
# Visibility from which a joint counts. Raised wrists of people had 0.63 and more; where the model placed a wrist above
# the shoulder that was not in the picture, it said 0.10 at most.
_SEEN = 0.35

_HEARTBEAT_MS = 20_000.0
_RAISED_HEARTBEAT_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Hands:
    """`raised` is None before the first look, and when the last one found no body. `doubted`: a raised hand was not
    seen at the last look; one look can miss what moves."""

    raised: bool | None = None
    doubted: bool = False
    looked_at_ms: float | None = None


def look_due(hands: Hands, now_ms: float, every_ms: float, *, moved: bool) -> bool:
    """Whether to look at the body now. `moved`: something beside or below the face did since the last look; `every_ms`
    is the least time between two looks."""
    if hands.looked_at_ms is None:
        return True
    since_ms = now_ms - hands.looked_at_ms
    if since_ms < every_ms:
        return False
    return moved or hands.doubted or since_ms >= (_RAISED_HEARTBEAT_MS if hands.raised else _HEARTBEAT_MS)


def see(hands: Hands, body: Body | None, face_px: float, now_ms: float) -> Hands:
    """What a look at the body found; `face_px` is the face's height."""
    height = max(lift(body.left, face_px), lift(body.right, face_px)) if body else float("-inf")
    if height >= (_LOWERED if hands.raised else _RAISED):
        return Hands(raised=True, looked_at_ms=now_ms)
    if hands.raised and not hands.doubted:
        return Hands(raised=True, doubted=True, looked_at_ms=now_ms)
    return Hands(raised=False if body else None, looked_at_ms=now_ms)


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
