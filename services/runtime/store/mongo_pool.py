"""What the connections to MongoDB are doing, as Prometheus gauges."""

import asyncio
from weakref import WeakSet

from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
    _ConnectionIdEvent,
)

from services.runtime.metrics import Metrics

Connection = tuple[object, int]


class PoolGauges(ConnectionPoolListener):
    """Counts by who is there, not by adding and subtracting: PyMongo tells nothing of a caller that is cancelled while
    it waits, and a count that is off would stay so. PyMongo calls all this in the event loop, in the caller's task."""

    def __init__(self, metrics: Metrics) -> None:
        self._open: set[Connection] = set()
        self._in_use: set[Connection] = set()
        self._waiting: WeakSet[asyncio.Task[object]] = WeakSet()
        gauge = metrics.store_connections
        gauge.labels("open").set_function(lambda: len(self._open))
        gauge.labels("in_use").set_function(lambda: len(self._in_use))
        gauge.labels("waiting").set_function(lambda: sum(not task.done() for task in self._waiting))

    def connection_created(self, event: ConnectionCreatedEvent) -> None:
        self._open.add(_connection(event))

    def connection_closed(self, event: ConnectionClosedEvent) -> None:
        self._open.discard(_connection(event))
        self._in_use.discard(_connection(event))

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        if (task := asyncio.current_task()) is not None:
            self._waiting.add(task)

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:
        self._served()

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:
        self._served()
        self._in_use.add(_connection(event))

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:
        self._in_use.discard(_connection(event))

    def pool_created(self, event: PoolCreatedEvent) -> None: ...

    def pool_ready(self, event: PoolReadyEvent) -> None: ...

    def pool_cleared(self, event: PoolClearedEvent) -> None: ...

    def pool_closed(self, event: PoolClosedEvent) -> None: ...

    def connection_ready(self, event: ConnectionReadyEvent) -> None: ...

    def _served(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._waiting.discard(task)


def _connection(event: _ConnectionIdEvent) -> Connection:
    return event.address, event.connection_id
