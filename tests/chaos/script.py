"""What a student of the chaos run does: a drawn loop, whose blinks and yawns are known at every frame. Pure.

Drawing costs as much as analyzing, so a few scripts are drawn once and shown round and round. The script's clock moves
with the frames that were taken: however long the cameras are kept waiting, what a session shows is the same, and so
are the counts that must come out.
"""

from dataclasses import dataclass, field

from services.client.drawn import Look, draw_jpeg
from services.client.timetable import Timetable, Truth

FPS = 10
LOOP_S = 24
SIZE = (320, 240)
QUIET_S = 0.8  # around the frame at which a session may end


@dataclass(frozen=True, slots=True)
class Script:
    """`jpegs` is one round; frame n of a session shows `jpegs[n % len(jpegs)]`."""

    timetable: Timetable = field(repr=False)
    jpegs: list[bytes] = field(repr=False)

    def truth(self, frames: int) -> Truth:
        """What the first so many frames of a session show from beginning to end."""
        rounds, rest = divmod(frames, len(self.jpegs))
        whole = self.timetable.truth(LOOP_S)
        part = self.timetable.drawn(number / FPS for number in range(rest))
        return Truth(
            blinks=rounds * whole.blinks + part.blinks,
            yawns=rounds * whole.yawns + part.yawns,
            looks_away=rounds * whole.looks_away + part.looks_away,
            hands_raised=rounds * whole.hands_raised + part.hands_raised,
            absences=rounds * whole.absences + part.absences,
        )

    def quiet(self, frames: int) -> bool:
        """Whether nothing is going on around the last of so many frames: a session that ends there leaves no event
        half shown."""
        at_s = (frames - 1) % len(self.jpegs) / FPS
        return not any(event.start_s - QUIET_S < at_s < event.end_s + QUIET_S for event in self.timetable.events)


def drawn(seed: int, size: tuple[int, int] = SIZE) -> Script:
    """Draw one script; takes a few seconds of one core."""
    timetable, look = Timetable(seed, LOOP_S), Look.of(seed)
    frames = range(LOOP_S * FPS)
    return Script(timetable, [draw_jpeg(timetable.pose_at(n / FPS), size, look, grain=n) for n in frames])
