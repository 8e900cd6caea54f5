"""Whose frames come next: fair between sessions, in order within one, thinned where live frames grow stale.

Pure: the driver tells the time. A session's frames are analyzed one after the other; sessions take turns of a few.

What is never left out: starts and ends of sessions; frames of uploads; and the backlog that a restart or a rebalance
left, of the analyzer or of the log (up to `catch_up_ms` of it, with what arrives until the session has caught up), so
that no count misses what happened meanwhile. Else, when the oldest waiting frame of a session is older than
`stale_after_ms`, every n-th of its frames is taken, n such that what waits is worked off in half of that time: so under
lasting overload n becomes arrivals over capacity, and the frames' age half of the limit.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.frames import FrameHeaders
from services.runtime.log import Record, TopicPartition

_FRAMES_PER_TURN = 4  # handing work to a thread costs a tenth of a frame; several at once make little of it
_FIRST_GUESS_MS = 10.0  # of a frame's analysis, until it was measured
_SMOOTHING = 0.1


@dataclass(slots=True)
class Entry:
    """A record that waits. Without `headers` it is malformed, and `error` says how."""

    record: Record
    headers: FrameHeaders | None
    error: str | None = None
    skip: bool = False

    @property
    def is_frame(self) -> bool:
        return self.headers is not None and self.headers.kind == "frame"


@dataclass(frozen=True, slots=True)
class Work:
    """One session's turn: entries in order, some to be skipped."""

    session_id: str
    entries: list[Entry]
    frames: int  # to be analyzed


@dataclass(slots=True)
class _Lane:
    source: TopicPartition
    catching_up_until_ms: int | None
    in_full_from_ms: int  # of what waits while catching up, frames received before are thinned
    upload: bool = False
    entries: deque[Entry] = field(default_factory=deque)
    busy: bool = False
    dropped: bool = False
    thinning: bool = False
    credit: float = 0.0  # towards the next frame that is taken while thinning

    def in_full(self, entry: Entry) -> bool:
        """This frame is of a backlog from which nothing is left out."""
        return self.catching_up_until_ms is not None and _received_ms(entry) >= self.in_full_from_ms


class Scheduler:
    """Lanes of waiting records, one per session. `workers`: how many turns are worked on at the same time."""

    def __init__(self, *, stale_after_ms: int, catch_up_ms: int, workers: int) -> None:
        self._stale_after_ms = stale_after_ms
        self._catch_up_ms = catch_up_ms
        self._workers = workers
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._assigned_at_ms: dict[TopicPartition, int] = {}
        self._frame_ms = _FIRST_GUESS_MS
        self._held_up_until_ms = 0
        self.waiting = 0
        self.waiting_bytes = 0

    def assign(self, partitions: Iterable[TopicPartition], now_ms: int) -> None:
        """From now on; what was received before is backlog."""
        for partition in partitions:
            self._assigned_at_ms[partition] = now_ms

    def add(self, session_id: str, entry: Entry) -> None:
        lane = self._lanes.get(session_id)
        if lane is None or lane.dropped:  # what was dropped and comes again is backlog
            busy = lane is not None and lane.busy
            lane = self._lanes[session_id] = self._open(entry)
            lane.busy = busy
        lane.entries.append(entry)
        self.waiting += 1
        self.waiting_bytes += len(entry.record.value)
        if len(lane.entries) == 1 and not lane.busy:
            self._ready.append(session_id)

    def arrived(self, now_ms: int, *, at_rest: bool) -> None:
        """A batch was added; `at_rest`: nothing waited before it. What is stale then was not kept waiting here but held
        up on its way, by a log that was away: backlog like that of a restart."""
        if not at_rest and now_ms >= self._held_up_until_ms:
            return
        for session_id in self._ready:
            lane = self._lanes[session_id]
            oldest = next((entry for entry in lane.entries if entry.is_frame), None)
            if oldest is None or now_ms - _received_ms(oldest) <= self._stale_after_ms:
                continue
            if at_rest and now_ms >= self._held_up_until_ms:
                self._held_up_until_ms = now_ms + self._catch_up_ms
            if lane.catching_up_until_ms is None:
                lane.catching_up_until_ms = self._held_up_until_ms
                lane.in_full_from_ms = now_ms - self._catch_up_ms

    def set_upload(self, session_id: str) -> None:
        """This session's frames are never left out."""
        if lane := self._lanes.get(session_id):
            lane.upload = True

    def take(self, now_ms: int) -> Work | None:
        """The next session's turn; it is busy until `done`. None when nobody waits."""
        if not self._ready:
            return None
        session_id = self._ready.popleft()
        lane = self._lanes[session_id]
        share = self._share(lane, now_ms)
        taken: list[Entry] = []
        frames = 0
        while lane.entries and frames < _FRAMES_PER_TURN:
            entry = lane.entries.popleft()
            taken.append(entry)
            self.waiting -= 1
            self.waiting_bytes -= len(entry.record.value)
            if entry.is_frame:
                lane.credit += 1.0 if lane.in_full(entry) else share
                entry.skip = lane.credit < 1
                if not entry.skip:
                    lane.credit = min(1.0, lane.credit - 1)
                    frames += 1
        lane.busy = True
        return Work(session_id, taken, frames)

    def done(self, work: Work, took_ms: float) -> None:
        lane = self._lanes.get(work.session_id)
        if work.frames:
            self._frame_ms += _SMOOTHING * (took_ms / work.frames - self._frame_ms)
        if lane is None:
            return
        lane.busy = False
        if lane.entries:
            self._ready.append(work.session_id)
        elif lane.dropped:
            del self._lanes[work.session_id]

    def forget(self, session_id: str) -> None:
        """The session has ended; its lane goes when nothing waits in it."""
        lane = self._lanes.get(session_id)
        if lane is not None and not lane.entries and not lane.busy:
            del self._lanes[session_id]

    def drop(self, partitions: frozenset[TopicPartition]) -> None:
        """Leave what waits on these partitions to their next owner. Turns under way end with `done`."""
        for session_id, lane in list(self._lanes.items()):
            if lane.source in partitions:
                self.waiting -= len(lane.entries)
                self.waiting_bytes -= sum(len(entry.record.value) for entry in lane.entries)
                lane.entries.clear()
                lane.dropped = True
                if session_id in self._ready:
                    self._ready.remove(session_id)
                if not lane.busy:
                    del self._lanes[session_id]
        for partition in partitions:
            self._assigned_at_ms.pop(partition, None)

    def at_rest(self, partitions: frozenset[TopicPartition]) -> bool:
        """Nothing of these partitions waits or is worked on."""
        return not any((lane.entries or lane.busy) and lane.source in partitions for lane in self._lanes.values())

    def _open(self, first: Entry) -> _Lane:
        source = first.record.source
        assigned_at_ms = self._assigned_at_ms.get(source, 0)
        backlog = first.headers is not None and first.headers.received_at_ms < assigned_at_ms
        return _Lane(
            source,
            catching_up_until_ms=assigned_at_ms + self._catch_up_ms if backlog else None,
            in_full_from_ms=assigned_at_ms - self._catch_up_ms,
        )

    def _share(self, lane: _Lane, now_ms: int) -> float:
        """Of the frames that wait now, how many to take: 0..1."""
        oldest = next((entry for entry in lane.entries if entry.is_frame), None)
        if lane.upload or oldest is None:
            return 1.0
        age_ms = now_ms - _received_ms(oldest)
        if lane.catching_up_until_ms is not None:
            if age_ms <= self._stale_after_ms or now_ms > lane.catching_up_until_ms:
                lane.catching_up_until_ms = None
            elif lane.in_full(oldest):
                return 1.0
        lane.thinning = age_ms > (self._stale_after_ms / 4 if lane.thinning else self._stale_after_ms)
        if not lane.thinning:
            return 1.0
        active = sum(1 for each in self._lanes.values() if each.entries or each.busy)
        can_take = self._stale_after_ms / 2 * self._workers / (self._frame_ms * active)
        return min(1.0, max(1.0, can_take) / len(lane.entries))


def _received_ms(entry: Entry) -> int:
    assert entry.headers is not None  # noqa: S101 - frames have headers
    return entry.headers.received_at_ms
