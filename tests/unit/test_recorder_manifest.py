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


@given(manifests(), st.booleans(), st.data())
def test_what_the_next_owner_begins_with_counts_only_whole(
    segments: list[Segment], failed: bool, data: st.DataObject
) -> None:
    before = Manifest(HEADER, tuple(segments), Failure(at_ms=5, error="full") if failed else None)
    after = before.taken_over(term=2, epoch=9)
    assert (after.segments, after.failure) == (before.segments, before.failure)
    assert (after.header.term, after.header.epoch, after.header.session) == (2, 9, HEADER.session)
    whole = after.encode()
    assert parse(whole) == after
    assert parse(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


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


def test_a_manifest_of_before_there_were_terms_is_read() -> None:
    header = HEADER.model_dump_json(exclude={"term", "epoch", "carried"})
    old = segment(3, [(7, 400)]).model_dump_json(exclude={"term"})
    manifest = parse(f'{header}\n{{"kind":"resumed","number":2}}\n{old}\n'.encode())
    assert manifest == Manifest(HEADER, (segment(3, [(7, 400)]),))
    assert manifest.segments[0].filename == "000003.mp4"
    assert (manifest.header.term, manifest.header.epoch) == (0, 0)


def test_what_a_newer_recorder_says_besides_is_passed_over() -> None:
    assert parse(HEADER.encode()[:-1] + b',"colour":"red"}\n') == Manifest(HEADER)


@pytest.mark.parametrize("content", [b"{}\n", b"\x00\x00\x00\n", encode_line(segment(0, [(0, 0)]))])
def test_a_header_that_cannot_be_read_is_no_crash_of_ours(content: bytes) -> None:
    with pytest.raises(ManifestBroken, match="line 1"):
        parse(content)


def test_a_line_that_cannot_be_read_fails_the_recording_and_keeps_what_is_before_it() -> None:
    readable = encode_line(HEADER) + encode_line(segment(0, [(0, 0)]))
    manifest = parse(readable + b"rubbish\n" + encode_line(segment(1, [(1, 100)])))
    assert manifest is not None
    assert manifest.frames == [(0, 0)]
    assert manifest.failure is not None
    assert manifest.failure.error.startswith("line 3 of the manifest cannot be read: ")
