"""Records that nobody should send, and what their dead letters must say."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from schemas import examples
from schemas.base import Contract
from schemas.frames import MAX_FRAME_BYTES
from schemas.topics import (
    ANALYZER_STATE,
    CONTROL,
    FRAMES,
    LANDMARKS,
    METRICS,
    PREDICTIONS,
    PREVIEWS,
    RECORDINGS,
    STATUS,
    Topic,
)
from tests.support.recordings import end_of, headers_of, numbered_jpeg, start_of

CASE = "case"  # a header that names the case; a letter keeps it
OTHER = "s-of-another"


@dataclass(frozen=True)
class Case:
    """A record, and what its letter must say; by which groups."""

    name: str
    topic: Topic
    key: str | None
    value: bytes = field(repr=False)
    headers: Mapping[str, str]
    reason: str
    groups: tuple[str, ...]


def of_session(event: Contract, session_id: str) -> bytes:
    return event.model_copy(update={"session_id": session_id}).encode()


def bad_events(topic: Topic, session_id: str) -> list[Case]:
    """What may be wrong with a JSON value that the sink stores."""
    assert isinstance(topic.example, Contract)
    good = of_session(topic.example, session_id)
    name, schema = topic.name, {"schema": topic.schema, "session_id": session_id}

    def case(what: str, reason: str, value: bytes = good, key: str | None = session_id, **headers: str) -> Case:
        return Case(f"{name}/{what}", topic, key, value, {**schema, **headers}, reason, ("sink-store",))

    return [
        case("empty", "the value is empty; wanted JSON", b""),
        case("no JSON", "Invalid JSON", b"\xff\xd8\xff\xe0"),
        case("JSON of something else", "session_id: Field required", b'{"mood": "good"}'),
        case("newer schema", f"newer than {topic.schema}", schema=f"{name}.v2"),
        case("schema of another topic", f"wanted {topic.schema}", schema="jobs.v1"),
        case("no key", "the record has no key", key=None, session_id=""),
        case("a path as key", "the key is '../../x'; wanted", key="../../x", session_id="../../x"),
        case("value of another session", f"value's session_id is '{OTHER}'", of_session(topic.example, OTHER)),
        case("header of another session", f"header session_id says '{OTHER}'", session_id=OTHER),
        case("wrong epoch", "header epoch is 'soon'", epoch="soon"),
        case("1 MiB", f"the value has 1048576 bytes; {name} takes at most", good + b" " * ((1 << 20) - len(good))),
    ]


def bad_frames(session_id: str) -> list[Case]:
    """What may be wrong on `frames`, for a session that is analyzed and recorded."""

    def case(
        what: str,
        reason: str,
        value: bytes = examples.JPEG,
        *,
        kind: str = "frame",
        seq: int = 2,
        key: str | None = session_id,
        but: Mapping[str, str | None] = MappingProxyType({}),
    ) -> Case:
        headers = {"schema": FRAMES.schema, **headers_of(kind, seq, session_id), **but}
        said = {name: text for name, text in headers.items() if text is not None}
        return Case(f"frames/{what}", FRAMES, key, value, said, reason, ("analyzer", "recorder"))

    start, end = start_of(session_id), end_of(session_id)
    return [
        case("empty", "the frame has 0 bytes", b"", seq=2),
        case("no JPEG", "does not start with FF D8", b"not a picture", seq=3),
        case("cut off", "the JPEG", numbered_jpeg(4)[:-40], seq=4),
        case("1 MiB of nothing", "does not start with FF D8", bytes(MAX_FRAME_BYTES), seq=5),
        case("above 1 MiB", "takes at most 1048576", bytes(MAX_FRAME_BYTES + 1), seq=6),
        case("newer schema", "newer than frames.v1", but={"schema": "frames.v2"}),
        case("no kind", "header kind is missing", but={"kind": None}),
        case("unknown kind", "header kind is 'noise'; wanted one of", but={"kind": "noise"}),
        case("no seq", "header seq is missing", but={"seq": None}),
        case("negative seq", "header seq is '-1'", but={"seq": "-1"}),
        case("huge seq", "header seq is '4294967296'", but={"seq": str(1 << 32)}),
        case("no time", "header captured_at_ms is missing", but={"captured_at_ms": None}),
        case("no number as time", "header received_at_ms is 'now'", but={"received_at_ms": "now"}),
        case("no session", "header session_id is missing", but={"session_id": None}),
        case("no key", "the record has no key", key=None),
        case("a path as key", "the key is '../../x'", key="../../x", but={"session_id": "../../x"}),
        case("key of another session", f"header session_id says '{session_id}'", key=OTHER),
        case("start that is no JSON", "Invalid JSON", b"start", kind="start"),
        case("empty start", "the value is empty", b"", kind="start"),
        case("start of another session", f"'{OTHER}'", start_of(OTHER).encode(), kind="start"),
        case("long start", "JSON may have", start.encode() + b" " * (512 << 10), kind="start"),
        case("end that is no JSON", "Invalid JSON", b"end", kind="end"),
        case("end of another session", f"'{OTHER}'", end_of(OTHER).encode(), kind="end"),
        case("end without a reason", "reason: ", end.encode().replace(b'"client"', b'"boredom"'), kind="end"),
    ]


def bad_snapshots(session_id: str) -> list[Case]:
    """What may be wrong on `analyzer-state`, each for a session of its own: the newest of each key is read."""
    cases: list[Case] = []

    def case(what: str, reason: str, value: bytes, key: str | None = None, **headers: str) -> None:
        key = f"{session_id}-{len(cases)}" if key is None else key
        said = {"schema": ANALYZER_STATE.schema, "session_id": key, **headers}
        cases.append(Case(f"analyzer-state/{what}", ANALYZER_STATE, key, value, said, reason, ("analyzer",)))

    case("no JSON", "Invalid JSON", b"\xff\x00")
    case("JSON of something else", "session_id: Field required", b"{}")
    case("newer schema", "newer than analyzer-state.v1", b"{}", schema="analyzer-state.v2")
    case("no key", "the record has no key", b"{}", key="")
    case("snapshot of another session", f"'{OTHER}'", b'{"session_id": "%s"}' % OTHER.encode())
    case("header of another session", f"header session_id says '{OTHER}'", b"{}", session_id=OTHER)
    case("wrong epoch", "header epoch is '-1'", b"{}", epoch="-1")
    case("above 1 MiB", "takes at most 1048576", bytes((1 << 20) + 1))
    return cases


def bad_results(session_id: str) -> list[Case]:
    """What no page can be shown."""
    cases = [
        replace(case, groups=())
        for topic in (METRICS, STATUS, PREDICTIONS, RECORDINGS)
        for case in bad_events(topic, session_id)
        if "epoch" not in case.name
    ]

    def case(topic: Topic, what: str, value: bytes, key: str | None = session_id, **headers: str) -> None:
        said = {"schema": topic.schema, **({"session_id": key} if key else {}), **headers}
        cases.append(Case(f"{topic.name}/{what}", topic, key, value, said, "", ()))

    case(LANDMARKS, "no seq", examples.LANDMARKS)
    case(LANDMARKS, "huge seq", examples.LANDMARKS, seq=str(1 << 32))
    case(LANDMARKS, "empty", b"", seq="3")
    case(LANDMARKS, "half", examples.LANDMARKS[:100], seq="3")
    case(LANDMARKS, "1 MiB", bytes(1 << 20), seq="3")
    case(LANDMARKS, "no number as time", examples.LANDMARKS, seq="3", received_at_ms="now")
    case(LANDMARKS, "newer schema", examples.LANDMARKS, seq="3", schema="landmarks.v2")
    case(PREVIEWS, "no JPEG", b"not a picture")
    case(PREVIEWS, "empty", b"")
    case(PREVIEWS, "newer schema", examples.JPEG, schema="previews.v2")
    case(CONTROL, "empty", b"", "PHYS-101")
    case(CONTROL, "no JSON", b"off", "PHYS-101")
    case(CONTROL, "newer schema", examples.CONTROL.encode(), "PHYS-101", schema="control.v2")
    case(CONTROL, "another lecture", examples.CONTROL.encode(), "CHEM-1")
    case(CONTROL, "no key", examples.CONTROL.encode(), None)
    return cases
