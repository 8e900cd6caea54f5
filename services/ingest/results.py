"""What comes back: a group-less reader of the result topics hands each record to the sockets that show it here."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from schemas import topics
from schemas.events import Control, Prediction, RecordingEvent, StatusChanged
from schemas.wire import EngagementStatusUpdate
from services.ingest import messages
from services.ingest.live import LiveView
from services.ingest.streams import Streams
from services.runtime.log import Record, TopicPartition
from services.runtime.metrics import Metrics

logger = structlog.get_logger(__name__)

TOPICS = (
    topics.METRICS,
    topics.STATUS,
    topics.PREDICTIONS,
    topics.LANDMARKS,
    topics.PREVIEWS,
    topics.RECORDINGS,
    topics.CONTROL,
)


class Results:
    """A log handler that never waits: what a socket cannot take stays in its outbox, bounded."""

    def __init__(
        self, streams: Streams, live: LiveView, metrics: Metrics, *, stale_after_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._streams = streams
        self._live = live
        self._stale_after_ms = stale_after_ms
        self._now_ms = now_ms
        self._capture_shown = metrics.stage_seconds.labels("capture_shown")
        self._analyzed_shown = metrics.stage_seconds.labels("analyzed_shown")
        self._routes: dict[str, Callable[[Record], None]] = {
            topics.METRICS.name: self._metrics,
            topics.STATUS.name: self._status,
            topics.PREDICTIONS.name: self._prediction,
            topics.LANDMARKS.name: self._landmarks,
            topics.PREVIEWS.name: self._preview,
            topics.RECORDINGS.name: self._recording,
            topics.CONTROL.name: self._control,
        }

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                self._routes[record.topic](record)
            except (ValueError, KeyError) as error:
                # Whoever owns the record has it as a dead letter; here it is only not shown.
                logger.warning("a result cannot be shown", topic=record.topic, offset=record.offset, error=str(error))
        await asyncio.sleep(0)  # a long backlog of results must not starve the sockets

    def _metrics(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        protocol = stream.protocol if stream else None
        listener = stream.listener if stream else None
        watched = self._live.watches(record.key)
        if listener is None and not watched:
            return
        now_ms = self._now_ms()
        captured_at_ms, received_at_ms, analyzed_at_ms = messages.metrics_times(record.value)
        if protocol is not None:
            latency_ms = protocol.latency_ms(captured_at_ms, received_at_ms, now_ms)
        else:
            latency_ms = max(0, now_ms - received_at_ms)
        if latency_ms > self._stale_after_ms:
            return
        if listener is not None:
            listener.result(messages.metrics(latency_ms, record.value))
            self._capture_shown.observe(latency_ms / 1000)
            self._analyzed_shown.observe(max(0, now_ms - analyzed_at_ms) / 1000)
        if watched:
            self._live.metrics(record.key, record.value, latency_ms, now_ms)

    def _status(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None:
            return
        if stream.listener is not None:
            stream.listener.text(messages.status(record.value))
        if b'"totals":null' not in record.value:
            totals = StatusChanged.decode(record.value).totals
            if totals is not None and not stream.totals.done():
                stream.totals.set_result(totals)

    def _prediction(self, record: Record) -> None:
        received_at_ms = record.headers.get("received_at_ms")
        if received_at_ms is not None and self._now_ms() - int(received_at_ms) > self._stale_after_ms:
            return
        stream = self._streams.get(record.key)
        listener = stream.listener if stream else None
        if listener is None and not self._live.watches(record.key):
            return
        prediction, message = Prediction.decode(record.value), messages.prediction(record.value)
        if listener is not None:
            listener.text(message)
        self._live.prediction(record.key, prediction, message)

    def _landmarks(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None or stream.listener is None or not stream.landmarks:
            return
        received_at_ms = record.headers.get("received_at_ms")
        if received_at_ms is None or self._now_ms() - int(received_at_ms) <= self._stale_after_ms:
            stream.listener.result(messages.landmarks(int(record.headers["seq"]), record.value))

    def _preview(self, record: Record) -> None:
        if self._live.watches(record.key):
            self._live.preview(record.key, record.value)

    def _recording(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None:
            return
        event = RecordingEvent.decode(record.value)
        active = event.kind in ("started", "segment")
        if event.kind != "deleted":
            stream.recording_id = event.recording_id
        if active != stream.recording_active:
            stream.recording_active = active
            stream.show_recording()

    def _control(self, record: Record) -> None:
        control = Control.decode(record.value)
        if control.kind == "engagement" and control.lecture_code is not None:
            update = EngagementStatusUpdate(lecture_code=control.lecture_code, is_enabled=control.enabled)
            for stream in self._streams:
                if stream.lecture_code == control.lecture_code and stream.listener is not None:
                    stream.listener.control(update)
            self._live.changed(control.lecture_code)
        elif control.kind == "recording" and control.session_id is not None:
            switched = self._streams.get(control.session_id)
            if switched is not None and switched.record != control.enabled:
                switched.record = control.enabled
                switched.show_recording()
