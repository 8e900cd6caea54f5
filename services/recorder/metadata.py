"""What is kept beside a finished recording: its event, its session, and which frame lies where in the file. Pure."""

from collections.abc import Iterable

from schemas.base import Contract, Seq
from schemas.events import RecordingEvent
from schemas.sessions import SessionStart
from services.recorder.manifest import PtsMs


class Metadata(Contract):
    """`seq_ranges` (first, last) name the frames in the order of the file; `pts_ms` has one time for each."""

    event: RecordingEvent
    session: SessionStart
    seq_ranges: list[tuple[Seq, Seq]]
    pts_ms: list[PtsMs]

    @property
    def frames(self) -> list[tuple[int, int]]:
        """(seq, pts_ms) of every frame in the file."""
        seqs = (seq for first, last in self.seq_ranges for seq in range(first, last + 1))
        return list(zip(seqs, self.pts_ms, strict=True))


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Rising numbers as closed ranges: 0 1 2 5 6 → (0, 2) (5, 6)."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and seq == found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
