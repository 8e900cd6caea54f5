"""What waits to be sent over one socket: bounded, whatever the client does.

Overflow has a name per kind: acknowledgements *merge* (the newest says all), results (metrics, landmarks, previews)
*drop oldest*, control is never dropped: when it piles up, the client does not read, and the socket is to be closed.
"""

from collections import deque
from collections.abc import Callable

from services.ingest import messages

MAX_CONTROL = 256
MAX_RESULTS = 64


class Outbox:
    """Pure; the socket's writer takes from it. `credit()` is asked when an acknowledgement goes out; `dropped` counts
    results that were not sent."""

    __slots__ = ("_acked", "_control", "_credit", "_results", "_shown", "dropped")

    def __init__(self, credit: Callable[[], int], max_results: int = MAX_RESULTS) -> None:
        self._credit = credit
        self._control: deque[str] = deque()
        self._acked = -1
        self._shown = -1
        self._results: deque[str | bytes] = deque(maxlen=max_results)
        self.dropped = 0

    def control(self, message: str) -> None:
        if self._acked != self._shown:
            self._control.append(self._pop_ack())  # what is acknowledged so far goes before what follows it
        self._control.append(message)

    def ack(self, seq: int) -> None:
        """The log has `seq` and all before it."""
        self._acked = max(self._acked, seq)

    def repeat_ack(self) -> None:
        """Say again what was said on another socket or lost on the way."""
        self._shown = -1

    def result(self, message: str | bytes) -> None:
        if len(self._results) == self._results.maxlen:
            self.dropped += 1
        self._results.append(message)

    def pop(self) -> str | bytes | None:
        """The next message to send: control, then the newest acknowledgement, then results in order. None: empty."""
        if self._control:
            return self._control.popleft()
        if self._acked != self._shown:
            return self._pop_ack()
        return self._results.popleft() if self._results else None

    def drop_results(self) -> None:
        """The socket is about to close: only what is owed still goes out."""
        self._results.clear()

    @property
    def stuck(self) -> bool:
        """More control waits than any client that reads would leave."""
        return len(self._control) > MAX_CONTROL

    def _pop_ack(self) -> str:
        self._shown = self._acked
        return messages.ack(self._acked, self._credit())
