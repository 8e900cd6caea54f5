"""Owners of one recording, one after the other: whatever an earlier one still does when it wakes changes nothing."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.recorder.disk import Disk, TakenOver
from services.recorder.journal import Journal, delete, read_manifest
from services.recorder.manifest import Failure, Header, Segment
from tests.support.recordings import start_of

RECORDING = "r-s-1"
HEADER = Header(recording_id=RECORDING, filename="ann.mp4", codec="h264", session=start_of())


class Drowsy(Disk):
    """Falls asleep before it makes a manifest or moves a file; `meanwhile` happens then, once."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile

    def _sleep(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()

    def create(self, path: Path, content: bytes) -> bool:
        self._sleep()
        return super().create(path, content)

    def publish(self, temporary: Path, final: Path) -> None:
        self._sleep()
        super().publish(temporary, final)


def opened(folder: Path, epoch: int, disk: Disk | None = None) -> Journal:
    journal = Journal.open(folder, RECORDING, epoch, disk or Disk(), begin=lambda: HEADER)
    assert journal is not None
    return journal


def segment_of(journal: Journal, *seqs: int) -> Segment:
    return Segment(
        number=journal.manifest.next_number,
        term=journal.term,
        size_bytes=4,
        width=96,
        height=32,
        frames=[(seq, seq * 100) for seq in seqs],
        last_captured_at_ms=seqs[-1] * 100,
        last_received_at_ms=seqs[-1] * 100,
    )


def on_disk(folder: Path) -> list[int]:
    manifest = read_manifest(folder, RECORDING)
    assert manifest is not None
    return [seq for seq, _ in manifest.frames]


def test_the_next_owner_goes_on_and_the_one_before_is_refused(tmp_path: Path) -> None:
    first = opened(tmp_path, epoch=1)
    first.add_segment(segment_of(first, 0, 1), b"file")
    second = opened(tmp_path, epoch=2)
    with pytest.raises(TakenOver):
        first.add_segment(segment_of(first, 2), b"late")
    with pytest.raises(TakenOver):
        first.add_failure(Failure(at_ms=1, error="full"))
    with pytest.raises(TakenOver):
        first.delete_segments()
    second.add_segment(segment_of(second, 2), b"file")
    assert on_disk(tmp_path) == [0, 1, 2]
    manifest = second.manifest
    assert manifest == read_manifest(tmp_path, RECORDING)
    assert [(second.folder / segment.filename).read_bytes() for segment in manifest.segments] == [b"file", b"file"]


def test_a_line_that_the_disk_refuses_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its segment is deleted; a reader that found the line would miss the file."""
    journal = opened(tmp_path, epoch=1)
    journal.add_segment(segment_of(journal, 0), b"file")
    sync, left = os.fsync, [journal.folder / "manifest-1.jsonl"]

    def refuse_the_manifest(descriptor: int) -> None:
        if left and os.path.samestat(os.fstat(descriptor), left[0].stat()):
            left.clear()
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_the_manifest)
    refused = segment_of(journal, 1)
    with pytest.raises(OSError, match="No space"):
        journal.add_segment(refused, b"file")
    assert on_disk(tmp_path) == [0]
    assert not (journal.folder / refused.filename).exists()
    journal.add_segment(refused, b"file")
    assert on_disk(tmp_path) == [0, 1]


def test_a_lower_epoch_is_refused_and_the_same_one_may_open_again(tmp_path: Path) -> None:
    first = opened(tmp_path, epoch=5)
    with pytest.raises(TakenOver, match="epoch 5; this recorder has epoch 4"):
        opened(tmp_path, epoch=4)
    first.check_owner()
    assert opened(tmp_path, epoch=5).term == first.term + 1


def test_of_two_that_open_at_once_the_later_owner_has_it(tmp_path: Path) -> None:
    later: list[Journal] = []
    with pytest.raises(TakenOver):
        opened(tmp_path, epoch=1, disk=Drowsy(lambda: later.append(opened(tmp_path, epoch=2))))
    later[0].check_owner()
    later[0].add_segment(segment_of(later[0], 0), b"file")
    assert on_disk(tmp_path) == [0]


def test_who_finds_its_term_free_again_sees_that_others_came_and_went(tmp_path: Path) -> None:
    later: list[Journal] = []

    def twice() -> None:
        later.extend([opened(tmp_path, epoch=2), opened(tmp_path, epoch=2)])

    with pytest.raises(TakenOver):
        opened(tmp_path, epoch=1, disk=Drowsy(twice))
    later[1].check_owner()
    assert [path.name for path in later[1].folder.iterdir()] == ["manifest-2.jsonl"]


def test_a_recording_that_ends_while_somebody_opens_it_is_not_gone_on_with(tmp_path: Path) -> None:
    opened(tmp_path, epoch=1)
    disk = Drowsy(lambda: delete(tmp_path, RECORDING, Disk()))
    assert Journal.open(tmp_path, RECORDING, 1, disk) is None
    assert list((tmp_path / "open").iterdir()) == []


def test_a_file_that_is_finished_too_late_stays_where_it_is(tmp_path: Path) -> None:
    first = opened(tmp_path, epoch=1)
    opened(tmp_path, epoch=2)
    temporary = first.temporary("playable")
    temporary.write_bytes(b"late")
    with pytest.raises(TakenOver):
        first.publish(temporary, tmp_path / "ann.mp4")
    assert not (tmp_path / "ann.mp4").exists()


def test_an_owner_that_sleeps_just_before_it_moves_a_file_moves_none(tmp_path: Path) -> None:
    """Its check was good; meanwhile the next owner began a file of the same purpose."""

    def taken_over() -> None:
        opened(tmp_path, epoch=2).temporary("playable").write_bytes(b"half a file")

    first = opened(tmp_path, epoch=1, disk=(disk := Drowsy()))
    temporary = first.temporary("playable")
    temporary.write_bytes(b"early")
    disk.meanwhile = taken_over
    with pytest.raises(TakenOver):
        first.publish(temporary, tmp_path / "ann.mp4")
    assert not (tmp_path / "ann.mp4").exists()
