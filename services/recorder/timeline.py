"""The recording's timeline: capture times, bridged where the client's clock jumps. Pure."""

from dataclasses import dataclass

# A capture interval may differ this much from the interval of arrival (a client that buffered while it was offline).
TOLERANCE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Moment:
    """Where one frame lies: on the client's clock, on ingest's and, `pts_ms`, in the recording (first frame: 0)."""

    captured_at_ms: int
    received_at_ms: int
    pts_ms: int


def place(previous: Moment | None, captured_at_ms: int, received_at_ms: int) -> Moment:
    """The moment of a frame that follows `previous`; its `pts_ms` is strictly greater.

    Intervals are those of the client's clock. Where that clock stood still, went back or leapt ahead by more than
    10 s beyond what passed at ingest, the interval at ingest (1 ms at least) takes its place.
    """
    if previous is None:
        return Moment(captured_at_ms, received_at_ms, 0)
    captured_ms = captured_at_ms - previous.captured_at_ms
    received_ms = max(received_at_ms - previous.received_at_ms, 1)
    interval_ms = captured_ms if 0 < captured_ms <= received_ms + TOLERANCE_MS else received_ms
    return Moment(captured_at_ms, received_at_ms, previous.pts_ms + interval_ms)
