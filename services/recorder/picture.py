"""JPEG → a 4:2:0 picture of limited range and of the recording's size.

FFmpeg's mjpeg decoder gives planar YUV directly: a third less CPU than OpenCV's decoder, and no way through BGR. JPEG
uses the full range 0..255, H.264 players expect 16..235: two lookup tables make that step in a sixth of swscale's time.
"""

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from schemas.frames import BadFrame, check_jpeg, is_whole
from services.runtime.deadletters import Malformed

_LEVELS = np.arange(256)
_LUMA = np.round(16 + _LEVELS * (219 / 255)).astype(np.uint8)
_CHROMA = np.round(128 + (_LEVELS - 128) * (224 / 255)).astype(np.uint8)
_BLACK = (16, 128, 128)

MIN_SIDE_PX = 16
MAX_SIDE_PX = 1920


class Undecodable(Malformed):
    """The bytes are not a whole JPEG."""


def recording_size(width: int, height: int) -> tuple[int, int]:
    """Size in pixels of a recording whose first frame is `width` × `height`: even sides, 16 to 1920."""
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    return _even(width * scale), _even(height * scale)


def _even(side_px: float) -> int:
    return max(MIN_SIDE_PX, int(side_px) // 2 * 2)


class JpegDecoder:
    """Decodes the frames of one recording. Not for use by two threads at a time."""

    def __init__(self) -> None:
        self._codec = _open()

    def decode(self, jpeg: bytes) -> VideoFrame:
        """The picture as FFmpeg gives it; raises `Undecodable` when it is damaged or ends early."""
        try:
            check_jpeg(jpeg)
        except BadFrame as error:
            raise Undecodable(str(error)) from None
        # The decoder forgives a missing end of image; a picture cut inside its last rows would pass.
        if not is_whole(jpeg):
            raise Undecodable("the JPEG is cut off: it has no end-of-image marker")
        try:
            pictures = self._codec.decode(av.Packet(jpeg))
        except av.FFmpegError as error:
            self._codec = _open()
            raise Undecodable(f"the JPEG cannot be decoded: {error.strerror}") from None
        if len(pictures) != 1:
            raise Undecodable(f"the JPEG holds {len(pictures)} pictures; wanted one")
        return pictures[0]


def _open() -> VideoCodecContext:
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = {"err_detect": "explode"}
    return codec


def fit(picture: VideoFrame, width: int, height: int) -> VideoFrame:
    """The picture as yuv420p, limited range, `width` × `height` (even); letterboxed where its shape differs.

    One pixel row or column too many (odd sizes) is cut off.
    """
    if not (0 <= picture.width - width <= 1 and 0 <= picture.height - height <= 1):
        scale = min(width / picture.width, height / picture.height)
        picture = picture.reformat(
            max(2, round(picture.width * scale) // 2 * 2), max(2, round(picture.height * scale) // 2 * 2), "yuvj420p"
        )
    elif picture.format.name not in {"yuvj420p", "gray"}:
        picture = picture.reformat(format="yuvj420p")
    fitted = VideoFrame(width, height, "yuv420p")
    # Chroma planes are half as wide and high: an offset must be even to fall on a whole chroma sample.
    left, top = max(0, width - picture.width) // 4 * 2, max(0, height - picture.height) // 4 * 2
    for index, plane in enumerate(fitted.planes):
        target = _pixels(plane)
        if index >= len(picture.planes):  # greyscale
            target[:] = _BLACK[index]
            continue
        source = _pixels(picture.planes[index])
        x, y = (left // 2, top // 2) if index else (left, top)
        high, wide = min(source.shape[0], target.shape[0] - y), min(source.shape[1], target.shape[1] - x)
        if (high, wide) != target.shape:
            target[:] = _BLACK[index]
        target[y : y + high, x : x + wide] = cv2.LUT(source[:high, :wide], _CHROMA if index else _LUMA)
    return fitted


def _pixels(plane: VideoPlane) -> NDArray[np.uint8]:
    """A view of one plane, without the padding at the end of its rows: (height, width) uint8."""
    rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
