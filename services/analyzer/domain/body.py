"""What the pose model says of a body, in pixels of the frame as sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Joint:
    """`visibility` 0..1: how sure it is that the joint is in the picture and not hidden. Where it is is a guess then,
    and may lie outside of the picture."""

    x_px: float
    y_px: float
    visibility: float


@dataclass(frozen=True, slots=True)
class Arm:
    shoulder: Joint
    elbow: Joint
    wrist: Joint


@dataclass(frozen=True, slots=True)
class Body:
    """Left and right are the image's."""

    left: Arm
    right: Arm
