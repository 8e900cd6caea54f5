"""What a picture shows of the session's person: vision, driven by what the domain wants to see."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain import faces
from services.analyzer.domain.body import Body
from services.analyzer.domain.faces import Following, Region
from services.analyzer.domain.hands import Due
from services.analyzer.vision import motion
from services.analyzer.vision.motion import Glimpse
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import BodyVision, FaceVision, Picture


@dataclass(frozen=True, slots=True)
class Vision:
    """The instances that all sessions share. Without `bodies` nobody looks at hands."""

    faces: Pool[FaceVision]
    bodies: Pool[BodyVision] | None = None

    def open(self) -> None:
        """Open a model of each kind ahead of the first picture: while that goes on, live frames grow stale."""
        with self.faces.borrowed():
            pass
        if self.bodies is not None:
            with self.bodies.borrowed():
                pass

    def close(self) -> None:
        self.faces.close()
        if self.bodies is not None:
            self.bodies.close()


@dataclass(frozen=True, slots=True)
class Face:
    """The person's face, (478, 3) in pixels of the frame as sent or None when it is not there; who is followed now."""

    following: Following
    landmarks_px: NDArray[np.float32] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the body, and what later pictures are compared with to know when to look again."""

    body: Body | None
    glimpse: Glimpse | None


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


def look_at_body(
    picture: Picture,
    face: Region,
    before: Glimpse | None,
    due: Due,
    bodies: Pool[BodyVision],
) -> Look | None:
    """None when there is no need to look. `before` is the glimpse of the last look."""
    if due == "no":
        return None
    if due == "if_moved" and before is not None and not motion.changed(before, picture, face):
        return None
    with bodies.borrowed() as vision:
        body = vision.body(picture, face)
    return Look(body, motion.glimpse(picture, face))
