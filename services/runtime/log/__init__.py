"""The event log: one port, two adapters, and the only module that owns offsets."""

from services.runtime.log.port import (
    Consumer,
    EventLog,
    Handler,
    LogStartFailed,
    LogUnavailable,
    Position,
    Record,
    TopicPartition,
)

__all__ = [
    "Consumer",
    "EventLog",
    "Handler",
    "LogStartFailed",
    "LogUnavailable",
    "Position",
    "Record",
    "TopicPartition",
]
