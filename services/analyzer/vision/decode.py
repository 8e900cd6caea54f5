"""JPEG → picture, at the smallest scale that serves the mesh."""

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.frames import BadFrame, check_jpeg, is_whole
from services.analyzer.vision.port import Picture
from services.runtime.deadletters import Malformed

# The mesh looks at 192×192 pixels around one and a half faces: more than 128 px of face are thrown away by it.
_SERVING_FACE_PX = 128
# While the face's size is not known: enough for a face of a fifth of the picture's width.
_SERVING_SIDE_PX = 640
# cv2.IMREAD_COLOR_RGB (256) spares the conversion and goes with the reduced scales, which it is not documented with.
_RGB = 256
_FLAGS = {
    1: cv2.IMREAD_COLOR | _RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2 | _RGB,
    4: cv2.IMREAD_REDUCED_COLOR_4 | _RGB,
    8: cv2.IMREAD_REDUCED_COLOR_8 | _RGB,
}


def reduction(width: int, height: int, face_px: float | None) -> int:
    """By how much to shrink while decoding: 1, 2, 4 or 8. `face_px` is the face's height when last seen."""
    for factor in (8, 4, 2):
        if face_px is not None:
            if face_px / factor >= _SERVING_FACE_PX:
                return factor
        elif max(width, height) / factor >= _SERVING_SIDE_PX:
            return factor
    return 1


def decode(jpeg: bytes, face_px: float | None = None) -> Picture:
    """Raises `Malformed` for what is not a whole, decodable JPEG within the limits."""
    try:
        width, height = check_jpeg(jpeg)
    except BadFrame as error:
        raise Malformed(str(error)) from None
    # A decoder fills what is missing with grey: a guess, and a face may be in it.
    if not is_whole(jpeg):
        raise Malformed(f"the JPEG ends early, after {len(jpeg)} bytes")
    factor = reduction(width, height, face_px)
    rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), _FLAGS[factor])
    if rgb is None:
        raise Malformed("the JPEG cannot be decoded")
    rgb.flags.writeable = False  # so that the mesh need not copy it
    if rgb.shape[1] != -(-width // factor):
        width, height = height, width  # turned upright, as its EXIF orientation wants and every viewer shows it
    return Picture(rgb, width, height)  # type: ignore[arg-type]


def preview(picture: Picture, width_px: int = 160) -> bytes:
    """A small JPEG of the frame; narrower where it would be more than four times as high as wide."""
    scale = min(width_px / picture.width, 4 * width_px / picture.height)
    size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    small = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 70])
    return jpeg.tobytes()


def landmark_bytes(landmarks_px: NDArray[np.float32]) -> bytes:
    """The `landmarks` topic's value: 478 × (x, y, z) int16, little-endian, in 1/8 px of the frame as sent."""
    eighths: NDArray[np.int16] = np.clip(np.rint(8 * landmarks_px), -32768, 32767).astype("<i2")
    return eighths.tobytes()
