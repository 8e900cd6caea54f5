"""What a client heard about its session: acknowledged frames, counts, latencies, errors. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.events import FrameMetrics, SessionTotals
from schemas.wire import ProcessingEndedAck, ProcessingError

MAX_LATENCIES = 100_000
MAX_ERRORS = 20


class SeqSet:
    """A set of rising numbers, kept as ranges: hours of frames take no more room than their gaps."""

    def __init__(self, seqs: Iterable[int] = ()) -> None:
        self._ranges: list[list[int]] = []
        self._length = 0
        for seq in seqs:
            self.add(seq)

    def add(self, seq: int) -> None:
        """`seq` is above all numbers that are in the set; raises `ValueError` when it is not."""
        if self._ranges and seq <= self._ranges[-1][1]:
            raise ValueError(f"{seq} is not above {self._ranges[-1][1]}")
        if self._ranges and seq == self._ranges[-1][1] + 1:
            self._ranges[-1][1] = seq
        else:
            self._ranges.append([seq, seq])
        self._length += 1

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """(first, last), both in the set."""
        return [(first, last) for first, last in self._ranges]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)


@dataclass(slots=True)
class Tally:
    """Grows while the client streams.

    `skipped` counts captures that were not sent because the server was behind; `latencies_ms` are from capture to the
    arrival of the frame's metrics, `ack_latencies_ms` to its acknowledgement, the last 100,000 of each.
    """

    skipped: int = 0
    acked: SeqSet = field(default_factory=SeqSet)
    connections: int = 0
    landmarks_received: int = 0
    metrics_received: int = 0
    last_metrics: FrameMetrics | None = None
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))
    ack_latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))
    totals: SessionTotals | None = None
    ended: ProcessingEndedAck | None = None
    error_counts: Counter[str] = field(default_factory=Counter)
    errors: list[ProcessingError] = field(default_factory=list)

    def acknowledged(self, seq: int, latency_ms: float | None) -> None:
        self.acked.add(seq)
        if latency_ms is not None:
            self.ack_latencies_ms.append(latency_ms)

    def measured(self, metrics: FrameMetrics, latency_ms: float | None) -> None:
        self.metrics_received += 1
        if self.last_metrics is None or metrics.seq > self.last_metrics.seq:
            self.last_metrics = metrics
        if latency_ms is not None:
            self.latencies_ms.append(latency_ms)

    def failed(self, error: ProcessingError) -> None:
        self.error_counts[error.code] += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error)

    @property
    def blink_count(self) -> int | None:
        """Blinks counted in the whole session; None when nothing was heard."""
        source = self.totals or self.last_metrics
        return None if source is None else source.blink_count

    @property
    def yawn_count(self) -> int | None:
        source = self.totals or self.last_metrics
        return None if source is None else source.yawn_count


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` (0..1) of all do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
