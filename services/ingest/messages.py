"""Server messages that are sent often, put together from bytes without building models.

`schemas.wire` documents their shape; a test holds the two together.
"""

from schemas.frames import WIRE_LANDMARKS, WIRE_PREVIEW


def ack(seq: int, credit: int) -> str:
    return f'{{"type":"ack","seq":{seq},"credit":{credit}}}'


def metrics(latency_ms: int, data: bytes) -> str:
    """`data` is a FrameMetrics as it came from the topic."""
    return f'{{"type":"metrics","latencyMs":{latency_ms}.0,"data":{data.decode()}}}'


def live_metrics(latency_ms: int, data: bytes) -> str:
    """The instructor's kind."""
    return f'{{"type":"metrics","latency_ms":{latency_ms}.0,"data":{data.decode()}}}'


def status(data: bytes) -> str:
    return f'{{"type":"status","data":{data.decode()}}}'


def prediction(data: bytes) -> str:
    return f'{{"type":"prediction","data":{data.decode()}}}'


def landmarks(seq: int, points: bytes) -> bytes:
    return bytes((WIRE_LANDMARKS,)) + seq.to_bytes(4, "big") + points


def preview(session_id: str, jpeg: bytes) -> bytes:
    name = session_id.encode("ascii")
    return bytes((WIRE_PREVIEW, len(name))) + name + jpeg
