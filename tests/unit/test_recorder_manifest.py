"""A manifest that a crash cut at any byte still tells what is safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recorder.manifest import Failure, Header, Manifest, ManifestBroken, Segment, encode_line, parse
from tests.support.recordings import start_of

HEADER = Header(recording_id="r-1", filename="a_b_c.mp4", codec="h264", session=start_of())


def segment(number: int, frames: list[tuple[int, int]]) -> Segment:
    return Segment(
        number=number,
        size_bytes=100,
        width=320,
        height=240,
        frames=frames,
        last_captured_at_ms=1_000,
        last_received_at_ms=2_000,
    )


@st.composite
def manifests(draw: st.DrawFn) -> list[Segment]:
    counts = draw(st.lists(st.integers(1, 5), max_size=6))
    segments, seq = [], 0
    for number, count in enumerate(counts):
        segments.append(segment(number, [(seq + index, (seq + index) * 100) for index in range(count)]))
        seq += count + draw(st.integers(0, 3))
    return segments


@given(manifests(), st.data())
def test_a_cut_at_any_byte_leaves_a_prefix(segments: list[Segment], data: st.DataObject) -> None:
    lines = [encode_line(HEADER), *map(encode_line, segments)]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    manifest = parse(whole[:cut])
    written = sum(1 for count in range(1, len(lines) + 1) if len(b"".join(lines[:count])) <= cut)
    if written == 0:
        assert manifest is None
    else:
        assert manifest is not None
        assert manifest == Manifest(HEADER, tuple(segments[: written - 1]))
        assert whole[: manifest.valid_bytes] == b"".join(lines[:written])


@given(manifests(), st.data())
def test_writing_goes_on_after_a_cut(segments: list[Segment], data: st.DataObject) -> None:
    whole = encode_line(HEADER) + b"".join(map(encode_line, segments))
    torn = parse(whole[: data.draw(st.integers(len(encode_line(HEADER)), len(whole)))])
    assert torn is not None
    rest = segments[len(torn.segments) :]
    assert parse(whole[: torn.valid_bytes] + b"".join(map(encode_line, rest))) == Manifest(HEADER, tuple(segments))


def test_frames_and_the_next_number() -> None:
    manifest = Manifest(HEADER, (segment(0, [(3, 0), (4, 90)]), segment(1, [(7, 400)])))
    assert manifest.frames == [(3, 0), (4, 90), (7, 400)]
    assert manifest.next_number == 2
    assert Manifest(HEADER).next_number == 0


def test_a_failure_is_kept() -> None:
    failure = Failure(at_ms=5, error="No space left on device")
    manifest = parse(encode_line(HEADER) + encode_line(failure))
    assert manifest is not None
    assert manifest.failure == failure


@pytest.mark.parametrize(
    "content", [b"{}\n", b"\x00\x00\x00\n", encode_line(segment(0, [(0, 0)])), encode_line(HEADER) + b"rubbish\n"]
)
def test_a_whole_line_that_is_not_ours_is_no_crash_of_ours(content: bytes) -> None:
    with pytest.raises(ManifestBroken, match="line"):
        parse(content)
