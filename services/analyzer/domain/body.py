"""What the pose model says of a body, in pixels of the frame as sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Joint:
    """`visibility` 0..1: how sure it is that the joint is in the picture and not hidden."""

    x_px: float
    y_px: float
    visibility: float


@dataclass(frozen=True, slots=True)
class Body:
    """Left and right are the image's."""

    left_shoulder: Joint
    right_shoulder: Joint
    left_wrist: Joint
    right_wrist: Joint
