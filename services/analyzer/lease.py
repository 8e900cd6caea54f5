"""Whether this replica may still own what it was given: in doubt after a sleep.

A process that was stopped for longer than the group waits (SIGSTOP, a machine that swaps) has lost its partitions and
cannot know it yet: the consumer hears of it with its next heartbeat, and `revoked` follows. Until then its results are
held back. Pure: the driver tells the time.
"""

# The group gives a silent member's partitions away after 6 s, of which a heartbeat's time may be over at the start.
LONGEST_NAP_S = 4.0
HEARD_WITHIN_S = 4.0  # of a heartbeat that is due at once, on a machine that just woke up


class Lease:
    """To be looked at more often than every `LONGEST_NAP_S`: whoever did not look for longer was asleep."""

    def __init__(self, now_s: float) -> None:
        self._looked_at_s = now_s
        self._doubtful_until_s = now_s

    def doubtful_s(self, now_s: float) -> float:
        """For how long to wait for bad news; 0 when there is no doubt."""
        if now_s - self._looked_at_s > LONGEST_NAP_S:
            self._doubtful_until_s = now_s + HEARD_WITHIN_S
        self._looked_at_s = now_s
        return max(0.0, self._doubtful_until_s - now_s)

    def renew(self, now_s: float) -> None:
        """The group has just given partitions to this replica."""
        self._looked_at_s = self._doubtful_until_s = now_s
