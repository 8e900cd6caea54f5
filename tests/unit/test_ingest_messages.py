"""Messages put together from bytes are what `schemas.wire` says."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas import examples, wire
from schemas.events import FrameMetrics
from services.ingest import messages

NOT_SEEN = examples.METRICS.model_copy(
    update=dict.fromkeys(("ear_left", "engagement", "engagement_parts", "gaze", "perclos"), None)
)


@given(st.integers(0, 10**7), st.sampled_from([examples.METRICS, NOT_SEEN]))
def test_metrics_are_spliced_byte_for_byte(latency_ms: int, metrics: FrameMetrics) -> None:
    data = metrics.encode()
    student = wire.MetricsMessage(latency_ms=float(latency_ms), data=metrics).encode()
    assert messages.metrics(latency_ms, data).encode() == student
    assert (
        messages.live_metrics(latency_ms, data).encode()
        == wire.LiveMetrics(latency_ms=float(latency_ms), data=metrics).encode()
    )


def test_the_other_messages_too() -> None:
    assert messages.ack(17, 64).encode() == wire.Ack(seq=17, credit=64).encode()
    assert messages.status(examples.STATUS.encode()).encode() == wire.StatusMessage(data=examples.STATUS).encode()
    assert (
        messages.prediction(examples.PREDICTION.encode()).encode()
        == wire.PredictionMessage(data=examples.PREDICTION).encode()
        == wire.LivePrediction(data=examples.PREDICTION).encode()
    )
    read: TypeAdapter[wire.ServerMessage] = TypeAdapter(wire.ServerMessage)
    assert read.validate_json(messages.ack(1, 2)) == wire.Ack(seq=1, credit=2)


def test_binary_messages() -> None:
    assert messages.landmarks(258, b"xyz") == b"\x02\x00\x00\x01\x02xyz"
    assert messages.preview("s-7f3a", b"\xff\xd8") == b"\x03\x06s-7f3a\xff\xd8"
