"""Bodies by MediaPipe 0.10.21's pose landmarks (BlazePose GHUM full); the model is in its wheel.

MediaPipe looks for a body with a detector of its own (11.5 ms, 44 MB). Where the face is known it is not needed: the
landmark model wants a square around the hips that holds the whole body, and the proportions of people are alike. Of the
detector's squares on people of all distances the middle lies 2.8…4.0 faces below the face's middle, the side measures
8.5…12.4 faces; a square of 8 faces finds wrists within 0.1 faces of where the tracked model sees them.
"""

from services.analyzer.domain.body import Arm, Body, Joint
from services.analyzer.domain.faces import Region
from services.analyzer.vision.graph import Graph
from services.analyzer.vision.port import Picture

_POSE = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "complexity"
output_stream: "body"
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "MODEL_COMPLEXITY:complexity"
  output_stream: "LANDMARKS:body"
}
"""
_FULL = 1  # the only one of the three models that is in the wheel
_FACES_BELOW, _SIDE_FACES = 2.5, 8.0

# Shoulder, elbow, wrist, by the person's own sides. A person who faces the camera has the left arm at image right.
_LEFT, _RIGHT = (11, 13, 15), (12, 14, 16)


class MediaPipeBody:
    """Not for two threads at once."""

    def __init__(self) -> None:
        self._pose = Graph(_POSE, ("body",), image="create_image_frame", complexity=_FULL)

    def body(self, picture: Picture, face: Region) -> Body | None:
        square = Region(face.x_px, face.y_px + _FACES_BELOW * face.face_px, _SIDE_FACES * face.face_px)
        found = self._pose.run(picture, square)
        return _body(self._pose.message(found["body"]), picture) if "body" in found else None

    def close(self) -> None:
        self._pose.close()


def _body(message: bytes, picture: Picture) -> Body:
    """A serialized `NormalizedLandmarkList` of 33 landmarks."""
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    points = NormalizedLandmarkList.FromString(message).landmark

    def arm(joints: tuple[int, int, int]) -> Arm:
        chosen = (points[number] for number in joints)
        return Arm(*(Joint(p.x * picture.width, p.y * picture.height, p.visibility) for p in chosen))

    one, other = sorted((arm(_LEFT), arm(_RIGHT)), key=lambda arm: arm.shoulder.x_px)
    return Body(one, other)
