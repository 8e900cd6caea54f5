"""A few costly instances, opened as they are needed and shared by all sessions."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVar

import structlog

logger = structlog.get_logger(__name__)


class Closable(Protocol):
    def close(self) -> None: ...


Item = TypeVar("Item", bound=Closable)


class PoolClosed(Exception):
    """The pool lends no more."""


class Pool(Generic[Item]):
    """At most `most` instances, each for one thread at a time; who finds none waits for one. Safe in threads."""

    def __init__(self, open_one: Callable[[], Item], most: int) -> None:
        self._open_one = open_one
        self._free: queue.LifoQueue[Item | None] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._closed = False
        for _ in range(most):
            self._free.put(None)  # a place without an instance yet

    @contextmanager
    def borrowed(self) -> Iterator[Item]:
        """An instance until the end of the block. One that fails in it is thrown away: it may be in any state.

        Raises `PoolClosed`, also to those who were waiting when it was closed.
        """
        item = self._free.get()
        try:
            if self._closed:
                raise PoolClosed
            if item is None:
                item = self._open_one()
            yield item
        except BaseException:
            failed, item = item, None
            if failed is not None:
                _close(failed)
            raise
        finally:
            self._give_back(item)

    def close(self) -> None:
        """Close what is free now, and what is borrowed when it comes back."""
        with self._lock:
            self._closed = True
            for item in self._take_all():
                if item is not None:
                    _close(item)
                self._free.put(None)  # wakes who waits for one

    def _take_all(self) -> list[Item | None]:
        taken = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._free.get_nowait())
        return taken

    def _give_back(self, item: Item | None) -> None:
        with self._lock:
            if self._closed and item is not None:
                _close(item)
                item = None
            self._free.put(item)


def _close(item: Closable) -> None:
    try:
        item.close()
    except Exception:
        logger.exception("an instance did not close")
