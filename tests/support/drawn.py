"""Where the drawn student's face is, as the face mesh sees it."""

from services.analyzer.domain.faces import Region
from services.client.drawn import SIZE, Pose

# Forehead to chin and how far their middle is below the pose's, in heights of the frame.
_FACE, _BELOW = 0.513, 0.042


def face_region(pose: Pose, size: tuple[int, int] = SIZE) -> Region:
    """Of an upright face, in a frame of (width, height)."""
    width, height = size
    x_px, y_px = width * (0.5 + pose.x), height * (0.5 + pose.y + _BELOW * pose.scale)
    return Region(x_px, y_px, 1.5 * _FACE * height * pose.scale)
