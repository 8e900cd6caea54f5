"""A writer takes each frame once, in order, and closes segments in time; a crash anywhere costs nothing."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recorder.disk import Disk
from services.recorder.frame import Frame
from services.recorder.journal import Journal, read_manifest
from services.recorder.manifest import Header
from services.recorder.metadata import ranges
from services.recorder.naming import recording_id_of
from services.recorder.picture import Undecodable
from services.recorder.writer import SEGMENT_FRAMES, Writer
from tests.support.recordings import start_of

RECORDING = recording_id_of("s-1")


class TextEncoder:
    """Makes a segment of the frames' bytes; refuses `bad`."""

    size = (64, 48)

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def add(self, jpeg: bytes, pts_ms: int) -> None:
        if jpeg == b"bad":
            raise Undecodable("bad")
        self._frames.append(jpeg)

    def close_segment(self) -> bytes:
        frames, self._frames = self._frames, []
        return b",".join(frames)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(opened(tmp_path), TextEncoder())


def opened(recordings_dir: Path) -> Journal:
    header = Header(recording_id=RECORDING, filename="ann.mp4", codec="h264", session=start_of())
    journal = Journal.open(recordings_dir, RECORDING, 1, Disk(), begin=lambda: header)
    assert journal is not None
    return journal


def frame(seq: int, interval_ms: int = 100) -> Frame:
    return Frame(seq, seq * interval_ms, seq * interval_ms, str(seq).encode())


def test_a_segment_is_full_after_two_seconds(writer: Writer) -> None:
    assert next(seq for seq in range(40) if writer.take(frame(seq))) == 20


def test_a_segment_is_full_after_so_many_frames(writer: Writer) -> None:
    assert next(seq for seq in range(300) if writer.take(frame(seq, interval_ms=1))) == SEGMENT_FRAMES - 1


def test_what_was_taken_is_known(writer: Writer) -> None:
    assert not writer.knows(0)
    writer.take(frame(5))
    assert writer.knows(5)
    assert writer.knows(4)
    assert not writer.knows(6)


def test_a_frame_that_cannot_be_decoded_leaves_no_trace(writer: Writer) -> None:
    writer.take(frame(0))
    with pytest.raises(Undecodable):
        writer.take(Frame(1, 100, 100, b"bad"))
    writer.take(frame(2))
    assert writer.flush() == 2
    assert writer.journal.manifest.frames == [(0, 0), (2, 200)]


def test_flushing_nothing_writes_nothing(writer: Writer) -> None:
    assert writer.flush() == 0
    assert writer.journal.manifest.segments == ()


@settings(max_examples=50)  # real files: as slow as the disk is
@given(
    seqs=st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True).map(sorted),
    crashes=st.lists(st.integers(0, 60), max_size=4),
    cut=st.integers(0, 2_000),
)
def test_a_crash_anywhere_leaves_every_frame_there_once(seqs: list[int], crashes: list[int], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recordings_dir = Path(folder)
        journal = opened(recordings_dir)
        for crash_after in [*crashes, len(seqs)]:
            writer = Writer(journal, TextEncoder())
            # After a crash the log gives every frame again that may not be safe; to give all of them is the most.
            for seq in seqs[:crash_after]:
                if not writer.knows(seq) and writer.take(frame(seq)):
                    writer.flush()
            if crash_after == len(seqs):
                writer.flush()
            else:
                half_written(journal, cut)
                journal = opened(recordings_dir)
        manifest = read_manifest(recordings_dir, RECORDING)
        assert manifest is not None
        assert [seq for seq, _ in manifest.frames] == seqs
        assert [pts_ms for _, pts_ms in manifest.frames] == [(seq - seqs[0]) * 100 for seq in seqs]
        for segment in manifest.segments:
            content = (journal.folder / segment.filename).read_bytes()
            assert content == b",".join(str(seq).encode() for seq, _ in segment.frames)


def half_written(journal: Journal, cut: int) -> None:
    """What a crash leaves: a segment without a line, and a line that may be torn."""
    number, term = journal.manifest.next_number, journal.term
    (journal.folder / f"{number:06d}-{term}.mp4").write_bytes(b"half")
    with (journal.folder / f"manifest-{term}.jsonl").open("ab") as manifest:
        manifest.write(b'{"kind":"segment","number":0'[: cut % 30])


@given(st.lists(st.integers(0, 300), unique=True).map(sorted))
def test_ranges_hold_the_same_numbers(seqs: list[int]) -> None:
    assert [seq for first, last in ranges(seqs) for seq in range(first, last + 1)] == seqs
