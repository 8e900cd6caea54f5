"""Server messages that are sent often, put together from bytes without building models.

`schemas.wire` documents their shape; a test holds the two together.
"""

import json
import re

from schemas.frames import WIRE_LANDMARKS, WIRE_PREVIEW

_TIME = re.compile(rb'"(captured|received|analyzed)_at_ms":\s*(\d+)')


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


def metrics_times(data: bytes) -> tuple[int, int, int]:
    """`captured_at_ms`, `received_at_ms`, `analyzed_at_ms` of an encoded FrameMetrics, without parsing all of it.

    Raises `ValueError` or `KeyError` when they are not there."""
    found = {match[1]: int(match[2]) for match in _TIME.finditer(data, 0, 400)}
    if len(found) == 3:
        return found[b"captured"], found[b"received"], found[b"analyzed"]
    content = json.loads(data)
    return content["captured_at_ms"], content["received_at_ms"], content["analyzed_at_ms"]
