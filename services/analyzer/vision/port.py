"""What the analyzer asks of vision. All places are in pixels of the frame as sent; nothing is remembered from one
picture to the next, so that a few instances serve any number of sessions."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain.body import Body
from services.analyzer.domain.faces import Region

LANDMARKS = 478  # 468 of the face, 10 of the irises


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded frame: (h, w, 3), maybe scaled down, read-only. `width` and `height` are those of the frame as sent."""

    rgb: NDArray[np.uint8] = field(repr=False)
    width: int
    height: int


class FaceVision(Protocol):
    """Not for two threads at once."""

    def detect(self, picture: Picture) -> list[Region]:
        """Every face of the picture, best first."""

    def landmarks(self, picture: Picture, region: Region) -> NDArray[np.float32] | None:
        """(478, 3) landmarks of the face in a region; z is at x's scale, smaller is nearer. None when there is none."""

    def close(self) -> None: ...


class BodyVision(Protocol):
    """Not for two threads at once."""

    def body(self, picture: Picture, face: Region) -> Body | None:
        """The joints of the body that a face belongs to; None when there is none."""

    def close(self) -> None: ...
