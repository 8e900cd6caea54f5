"""When results came, session by session, and from that how long each fault was felt. Pure: times are passed in."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

SILENCE_S = 1.5  # a session without results for longer is disturbed


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault as it came to pass, in seconds of one clock. `until_s`: when the next one began, or the run's end."""

    name: str
    begun_s: float
    over_s: float
    until_s: float
    caught_up_s: float | None = None  # from `over_s` until no consumer group was behind; None: not within its time
    last_behind: str = ""  # the group that was the last to catch up


@dataclass(slots=True)
class Ledger:
    """Arrivals of results (`metrics` messages) and captures that had to wait, for each session."""

    arrivals_s: dict[str, list[float]] = field(default_factory=dict)
    held_s: dict[str, list[float]] = field(default_factory=dict)

    def opened(self, session: str) -> None:
        self.arrivals_s[session] = []
        self.held_s[session] = []

    def arrived(self, session: str, at_s: float) -> None:
        self.arrivals_s[session].append(at_s)

    def held(self, session: str, at_s: float) -> None:
        """A camera had a picture and no credit to send it: it waits, and shows the same a moment later."""
        self.held_s[session].append(at_s)

    def flowing(self, now_s: float) -> bool:
        """Every session had a result a moment ago."""
        return all(arrivals and now_s - arrivals[-1] <= SILENCE_S for arrivals in self.arrivals_s.values())

    def recovery_s(self, blow: Blow) -> float | None:
        """From the end of the fault until the results of all sessions flowed again for good; None when one did not
        before the next fault."""
        return slowest(self.arrivals_s, blow.over_s, blow.until_s)

    def longest_silence_s(self, blow: Blow) -> float:
        """The longest that any session was without results, from the fault's beginning on."""
        return max(
            (
                later - earlier
                for arrivals in self.arrivals_s.values()
                for earlier, later in _gaps(arrivals, blow.begun_s, blow.until_s)
            ),
            default=0.0,
        )

    def held_during(self, blow: Blow) -> int:
        return sum(
            bisect_left(times, blow.until_s) - bisect_left(times, blow.begun_s) for times in self.held_s.values()
        )


def slowest(arrivals_s: Mapping[str, list[float]], from_s: float, until_s: float) -> float | None:
    """Seconds from `from_s` to the end of the last silence in any session; 0 where there was none, None where one
    lasts beyond `until_s`."""
    ends_s = [from_s]
    for arrivals in arrivals_s.values():
        silences = [gap for gap in _gaps(arrivals, from_s, until_s) if gap[1] - gap[0] > SILENCE_S]
        if silences and silences[-1][1] >= until_s:
            return None
        ends_s += [end for _, end in silences]
    return max(ends_s) - from_s


def _gaps(arrivals: list[float], from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
    """Between one arrival and the next, those that reach into the time from `from_s` to `until_s`, cut at its end."""
    first = max(0, bisect_right(arrivals, from_s) - 1)
    times = [*arrivals[first : bisect_left(arrivals, until_s)], until_s]
    if times[0] > from_s and first == 0:
        times.insert(0, from_s)
    return pairwise(times)
