"""Every topic once: name, key, value, version, partitions, retention, owner, one example.

`FRAMES` carries raw JPEG and is described by its headers; `schemas.frames` reads and writes them. The order of records
is kept per key; `analyzer-state` has as many partitions as `frames`, so that whoever owns a session's frames finds its
state on the partition of the same number.
"""

from dataclasses import dataclass
from typing import Literal

from schemas import events, examples
from schemas.base import Contract

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GIB = 2**30
PARTITIONS = 12

Owner = Literal["ingest", "analyzer", "recorder", "sink", "runtime"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A stream of records. `model` is None where the value is raw bytes, then `content_type` says which."""

    name: str
    key: str
    owner: Owner
    model: type[Contract] | None
    example: Contract | bytes
    version: int = 1
    content_type: str = "application/json"
    partitions: int = PARTITIONS
    retention_ms: int | None = 7 * DAY_MS
    retention_bytes: int | None = None
    compacted: bool = False

    @property
    def schema(self) -> str:
        """Value of the `schema` header, e.g. `metrics.v1`."""
        return f"{self.name}.v{self.version}"


FRAMES = Topic(
    "frames",
    key="session_id",
    owner="ingest",
    model=None,
    example=examples.JPEG,
    content_type="image/jpeg",
    retention_ms=HOUR_MS,
    retention_bytes=10 * GIB,
)
METRICS = Topic("metrics", "session_id", "analyzer", events.FrameMetrics, examples.METRICS)
LANDMARKS = Topic(
    "landmarks",
    key="session_id",
    owner="analyzer",
    model=None,
    example=examples.LANDMARKS,
    content_type="application/x-rapt-landmarks",
    retention_ms=HOUR_MS,
)
PREVIEWS = Topic(
    "previews",
    key="session_id",
    owner="analyzer",
    model=None,
    example=examples.JPEG,
    content_type="image/jpeg",
    retention_ms=10 * 60_000,
)
STATUS = Topic("status", "session_id", "analyzer", events.StatusChanged, examples.STATUS)
PREDICTIONS = Topic("predictions", "session_id", "analyzer", events.Prediction, examples.PREDICTION)
SIGNALS = Topic("signals", "session_id", "ingest", events.Signal, examples.SIGNAL)
RECORDINGS = Topic("recordings", "session_id", "recorder", events.RecordingEvent, examples.RECORDING)
CONTROL = Topic("control", "lecture_code or session_id", "ingest", events.Control, examples.CONTROL)
JOBS = Topic("jobs", "job_id", "ingest", events.JobEvent, examples.JOB)
SIGNALING = Topic("signaling", "session_id", "ingest", events.SignalMessage, examples.SIGNALING, retention_ms=HOUR_MS)
ANALYZER_STATE = Topic(
    "analyzer-state",
    key="session_id",
    owner="analyzer",
    model=None,
    example=b"{}",
    content_type="application/json",
    retention_ms=None,
    compacted=True,
)
DEAD_LETTERS = Topic(
    "dead-letters",
    key="the record's own key",
    owner="runtime",
    model=None,
    example=b"not a JPEG",
    content_type="application/octet-stream",
    retention_ms=7 * DAY_MS,  # frames may be among them
)

TOPICS = (
    FRAMES,
    METRICS,
    LANDMARKS,
    PREVIEWS,
    STATUS,
    PREDICTIONS,
    SIGNALS,
    RECORDINGS,
    CONTROL,
    JOBS,
    SIGNALING,
    ANALYZER_STATE,
    DEAD_LETTERS,
)
BY_NAME = {topic.name: topic for topic in TOPICS}
