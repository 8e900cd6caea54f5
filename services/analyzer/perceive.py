"""What a picture shows of the session's person: vision, driven by what the domain wants to see."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain import faces
from services.analyzer.domain.faces import Following
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import FaceVision, Picture


@dataclass(frozen=True, slots=True)
class Vision:
    """The instances that all sessions share."""

    faces: Pool[FaceVision]

    def close(self) -> None:
        self.faces.close()


@dataclass(frozen=True, slots=True)
class Face:
    """The person's face, (478, 3) in pixels of the frame as sent or None when it is not there; who is followed now."""

    following: Following
    landmarks_px: NDArray[np.float32] | None = field(default=None, repr=False)


def find_face(picture: Picture, following: Following, now_ms: float, vision: FaceVision) -> Face:
    """Look where the person was; search the picture when nobody is there, and when it is time to count the others."""
    following = faces.sized(following, picture.width, picture.height)
    landmarks = vision.landmarks(picture, following.region) if following.region is not None else None
    lost = following.region is not None and landmarks is None
    if lost or faces.search_due(following, now_ms):
        following = faces.searched(following, vision.detect(picture), now_ms, seen=landmarks is not None)
        if landmarks is None and following.region is not None:
            landmarks = vision.landmarks(picture, following.region)
    return Face(faces.saw(following, landmarks, now_ms), landmarks)
