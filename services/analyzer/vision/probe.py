"""How clearly a picture shows somebody's eyes: light, contrast and fine detail.

All is measured around the eyes and brows: they have fine detail in every face, beard or not, and blinks and gaze are
measured there. They are brought to one scale first, so that the numbers mean the same at every distance.
"""

from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain.quality import Clarity
from services.analyzer.vision.port import Picture

_EYES = np.array((33, 263, 105, 334, 145, 374))  # outer corners first; brows, lower lids
_FOREHEAD_AND_CHIN = np.array((10, 152))
_MARGIN = 0.04  # of the face, around those points
# A pixel is then as much as the mesh can make use of, and noise finer than that is averaged out.
_PX_PER_FACE = 64

# Detail is rare and strong, noise is everywhere: of a normal distribution the 97th percentile of the absolute value is
# 3.2 times the median, so that this difference is 0 for noise alone, however strong.
_STRONG, _EVERYWHERE, _NOISE_RATIO = 0.97, 0.5, 3.2
_ROUNDING = 2.0  # grey levels that second differences of whole numbers reach by rounding
_ACROSS_GAIN = 2.0  # lids and brows lie across: eyes have half as much detail from left to right


def probe(picture: Picture, landmarks_px: NDArray[np.float32], now_ms: float) -> Clarity | None:
    """From (478, 3) landmarks in pixels of the frame as sent; None when neither eye is in the picture."""
    height, width = picture.rgb.shape[:2]
    scale = width / picture.width
    points = landmarks_px[_EYES].tolist()
    xs, ys = [point[0] * scale for point in points], [point[1] * scale for point in points]
    if not (0 <= xs[0] + xs[1] < 2 * width and 0 <= ys[0] + ys[1] < 2 * height):
        return None  # not even one eye is whole
    (x, y, _), (chin_x, chin_y, _) = landmarks_px[_FOREHEAD_AND_CHIN].tolist()
    face_px = scale * hypot(chin_x - x, chin_y - y)
    margin = _MARGIN * face_px
    x0, x1 = max(0, int(min(xs) - margin)), min(width, int(max(xs) + margin) + 1)
    y0, y1 = max(0, int(min(ys) - margin)), min(height, int(max(ys) + 2 * margin) + 1)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return Clarity(0.0, 0.0, 0.0, now_ms)
    grey = cv2.cvtColor(picture.rgb[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    shrink = _PX_PER_FACE / face_px
    size = max(4, round((x1 - x0) * shrink)), max(4, round((y1 - y0) * shrink))
    eyes = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR).astype(np.int16)
    dark, light = _percentiles(eyes, 0.03, 0.97)
    contrast = light - dark
    across = eyes[:, 2:] + eyes[:, :-2] - 2 * eyes[:, 1:-1]
    down = eyes[2:] + eyes[:-2] - 2 * eyes[1:-1]
    detail = min(_ACROSS_GAIN * _detail(across), _detail(down))  # movement blurs in one direction
    return Clarity(100 * detail / contrast if contrast else 0.0, contrast, float(eyes.mean()), now_ms)


def _detail(bends: NDArray[np.int16]) -> float:
    """What stands out of the noise among second differences, in grey levels."""
    everywhere, strong = _percentiles(np.abs(bends), _EVERYWHERE, _STRONG)
    return max(0.0, strong - max(_ROUNDING, _NOISE_RATIO * everywhere))


def _percentiles(levels: NDArray[np.int16], low: float, high: float) -> tuple[float, float]:
    """Two of them, of numbers from 0 to about 1000: counting is several times as fast as sorting."""
    up_to = np.bincount(levels.ravel()).cumsum()
    return float(up_to.searchsorted(low * up_to[-1])), float(up_to.searchsorted(high * up_to[-1]))
