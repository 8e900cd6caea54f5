"""The frames that every bench shares: a drawn student at 10 fps, 320×240, JPEG."""

from functools import cache

from services.client.drawn import Look, draw_jpeg
from services.client.timetable import Timetable

FPS = 10.0


@cache
def drawn_frames(seconds: float = 20.0, seed: int = 1, look: Look | None = None) -> tuple[bytes, ...]:
    """JPEGs of one drawn student; drawn once per process for each seed and look."""
    timetable = Timetable(seed, seconds)
    return tuple(
        draw_jpeg(timetable.pose_at(frame / FPS), look=look, grain=frame) for frame in range(int(seconds * FPS))
    )
