"""The frames that every bench shares: a drawn student at 10 fps, JPEG."""

from functools import cache

from services.client.drawn import SIZE, Look, draw_jpeg
from services.client.timetable import Timetable

FPS = 10.0


@cache
def drawn_frames(
    seconds: float = 20.0, seed: int = 1, look: Look | None = None, size: tuple[int, int] = SIZE
) -> tuple[bytes, ...]:
    """JPEGs of one drawn student, 320×240 unless told; drawn once per process for each seed, look and size."""
    timetable = Timetable(seed, seconds)
    return tuple(draw_jpeg(timetable.pose_at(frame / FPS), size, look, frame) for frame in range(int(seconds * FPS)))
