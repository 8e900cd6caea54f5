"""When a picture does not serve: a reason instead of a guess."""

from schemas.events import InsufficientReason

SMALL_FACE_PX = 48.0  # below, EAR scatters by a third from frame to frame
DARK_LUMA = 40.0
BLURRED_VARIANCE = 10.0  # of the Laplacian at 96×96; a sharp face has 100 and more
TURNED_YAW_DEG = 55.0
TURNED_PITCH_DEG = 40.0


def insufficient(
    face_px: float, blur: float, brightness: float, yaw_deg: float, pitch_deg: float
) -> InsufficientReason | None:
    """Why this face cannot be measured; None when it can."""
    if face_px < SMALL_FACE_PX:
        return "face_small"
    if brightness < DARK_LUMA:
        return "dark"
    if blur < BLURRED_VARIANCE:
        return "blurred"
    if abs(yaw_deg) > TURNED_YAW_DEG or abs(pitch_deg) > TURNED_PITCH_DEG:
        return "turned_away"
    return None
