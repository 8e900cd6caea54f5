"""Notices that this process slept: stopped, swapped out, its machine suspended, its loop blocked.

Whatever it knew of its sessions may be old then: others may have taken them up, or ended them. Pure.
"""

ASLEEP_MS = 3_000  # the sweep beats every second


class Vigil:
    """`woke_at_ms` is the time of the first beat after the last sleep."""

    __slots__ = ("_beat_at_ms", "woke_at_ms")

    def __init__(self, now_ms: int) -> None:
        self._beat_at_ms = self.woke_at_ms = now_ms

    def beat(self, now_ms: int) -> None:
        # A clock that was set says nothing of the time between either.
        if abs(now_ms - self._beat_at_ms) > ASLEEP_MS:
            self.woke_at_ms = now_ms
        self._beat_at_ms = now_ms
