"""The camera's clock: published capture times rise strictly, whatever the client's clock does.

A client's clock may be hours off: that does not matter, intervals count. What matters is a jump in the middle of a
session: it would make a blink last an hour. A jump is bridged: the shift is added to all capture times that follow, so
that they go on from where the session was. Pure: times come in as arguments.
"""

# A clock is corrected by a few ms all the time; frames queue for seconds in a bad network. Neither is a jump.
BACK_LIMIT_MS = 1_000
AHEAD_LIMIT_MS = 5_000
# First capture times further off than this are no time of day (milliseconds since boot, seconds, nonsense).
PLAUSIBLE_OFFSET_MS = 48 * 3_600_000


class CaptureClock:
    """One session's mapping from the client's clock to published capture times (ms).

    `offset_ms` is the smallest received − published seen: what the clocks differ by, plus the fastest way of a frame.
    """

    __slots__ = ("_last_ms", "_received_ms", "_shift_ms", "offset_ms")

    def __init__(self) -> None:
        self._shift_ms = 0
        self._last_ms = -1
        self._received_ms = 0
        self.offset_ms: int | None = None

    def stamp(self, captured_at_ms: int, received_at_ms: int) -> tuple[int, int]:
        """The capture time to publish, greater than any before, and by how much the clock jumped (0 when it did not).

        `captured_at_ms` is the client's, `received_at_ms` ingest's; frames come in the order of their numbers.
        """
        published = captured_at_ms + self._shift_ms
        jump = 0
        if self.offset_ms is None:
            if abs(received_at_ms - published) > PLAUSIBLE_OFFSET_MS:
                jump = published - received_at_ms
        elif published < self._last_ms - BACK_LIMIT_MS or received_at_ms - published < self.offset_ms - AHEAD_LIMIT_MS:
            # Where the clock should be by now: as long after the last frame as this one came after it.
            jump = published - (self._last_ms + max(received_at_ms - self._received_ms, 1))
        if jump:
            self._shift_ms -= jump
            published -= jump
        published = max(published, self._last_ms + 1)
        self._last_ms = published
        self._received_ms = received_at_ms
        offset = received_at_ms - published
        if self.offset_ms is None or offset < self.offset_ms:
            self.offset_ms = offset
        return published, jump
