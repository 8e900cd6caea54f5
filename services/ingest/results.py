"""What comes back: a group-less reader of the result topics hands each record to the sockets that show it here."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from schemas import topics
from schemas.events import Control, FrameMetrics, Prediction, RecordingEvent, StatusChanged
from schemas.frames import BadFrame, check_jpeg
from schemas.wire import EngagementStatusUpdate
from services.ingest import messages
from services.ingest.live import LiveView
from services.ingest.streams import Streams
from services.runtime.deadletters import RETRIES, Malformed
from services.runtime.epochs import NewestEpochs, epoch_of
from services.runtime.log import Record, TopicPartition
from services.runtime.metrics import Metrics
from services.runtime.records import MAX_MS, MAX_SEQ, checked, decoded, number_header

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
LANDMARKS_BYTES = 478 * 3 * 2  # int16


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
        self._passed_over = metrics.results_passed_over
        # An owner that slept while its partitions went to another one still says a little when it wakes.
        self._epochs = NewestEpochs()
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
                topic = checked(record)
                if RETRIES in record.headers:
                    continue  # out of the dead letters: to be stored, and long past
                if not self._epochs.counts((topic.owner, record.key), epoch_of(record)):
                    self._passed_over.labels(record.topic).inc()
                    continue
                self._routes[record.topic](record)
            except Exception as error:
                # Whoever processes the record has it as a dead letter; here it is only not shown. A mistake of ours
                # must not hold the others either: a batch that fails is delivered again, for ever.
                bug = None if isinstance(error, (Malformed, BadFrame)) else error
                logger.warning(
                    "passed over", topic=record.topic, offset=record.offset, error=str(error)[:1000], exc_info=bug
                )
                self._passed_over.labels(record.topic).inc()
        await asyncio.sleep(0)  # a long backlog of results must not starve the sockets

    def _metrics(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        protocol = stream.protocol if stream else None
        listener = stream.listener if stream else None
        watched = self._live.watches(record.key)
        if listener is None and not watched:
            return
        now_ms = self._now_ms()
        measured = decoded(record, FrameMetrics)
        if protocol is not None:
            latency_ms = protocol.latency_ms(measured.captured_at_ms, measured.received_at_ms, now_ms)
        else:
            latency_ms = max(0, now_ms - measured.received_at_ms)
        if latency_ms > self._stale_after_ms:
            return
        if listener is not None:
            listener.result(messages.metrics(latency_ms, record.value))
            self._capture_shown.observe(latency_ms / 1000)
            self._analyzed_shown.observe(max(0, now_ms - measured.analyzed_at_ms) / 1000)
        if watched:
            self._live.metrics(record.key, record.value, latency_ms, now_ms)

    def _status(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None:
            return
        totals = decoded(record, StatusChanged).totals
        if stream.listener is not None:
            stream.listener.text(messages.status(record.value))
        if totals is not None and not stream.totals.done():
            stream.totals.set_result(totals)

    def _prediction(self, record: Record) -> None:
        if self._stale(record):
            return
        stream = self._streams.get(record.key)
        listener = stream.listener if stream else None
        if listener is None and not self._live.watches(record.key):
            return
        prediction, message = decoded(record, Prediction), messages.prediction(record.value)
        if listener is not None:
            listener.text(message)
        self._live.prediction(record.key, prediction, message)

    def _landmarks(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None or stream.listener is None or not stream.landmarks:
            return
        if self._stale(record):
            return
        if len(record.value) != LANDMARKS_BYTES:
            raise Malformed(f"the landmarks have {len(record.value)} bytes; wanted {LANDMARKS_BYTES}")
        stream.listener.result(messages.landmarks(number_header(record, "seq", MAX_SEQ), record.value))

    def _preview(self, record: Record) -> None:
        if self._live.watches(record.key):
            check_jpeg(record.value)
            self._live.preview(record.key, record.value)

    def _recording(self, record: Record) -> None:
        stream = self._streams.get(record.key)
        if stream is None:
            return
        event = decoded(record, RecordingEvent)
        active = event.kind in ("started", "segment")
        if event.kind != "deleted":
            stream.recording_id = event.recording_id
        if active != stream.recording_active:
            stream.recording_active = active
            stream.show_recording()

    def _control(self, record: Record) -> None:
        control = decoded(record, Control)
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

    def _stale(self, record: Record) -> bool:
        """Whether the frame that this comes from, where it says so, was received too long ago to be shown as live."""
        if "received_at_ms" not in record.headers:
            return False
        return self._now_ms() - number_header(record, "received_at_ms", MAX_MS) > self._stale_after_ms
