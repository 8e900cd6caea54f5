"""A recording under way on the disk: its folder with the segments and the manifest that says which of them count."""

import contextlib
from pathlib import Path

from schemas.sessions import SessionStart
from services.recorder.disk import Disk
from services.recorder.encoder import Codec
from services.recorder.manifest import Failure, Header, Line, Manifest, Resumed, Segment, encode_line, parse
from services.recorder.naming import claim_path, filename_of, open_folder, recording_id_of

MANIFEST = "manifest.jsonl"


class Journal:
    """The folder of one recording. One thread at a time; every call blocks on the disk and may raise `OSError`.

    Calls that write raise `TakenOver` once somebody else has resumed the recording.
    """

    def __init__(self, folder: Path, manifest: Manifest, disk: Disk) -> None:
        self.folder = folder
        self._disk = disk
        self._header = manifest.header
        self._segments = list(manifest.segments)
        self._failure = manifest.failure
        self._resumed = manifest.resumed
        self._valid_bytes = manifest.valid_bytes

    @classmethod
    def create(cls, recordings_dir: Path, start: SessionStart, codec: Codec, disk: Disk) -> "Journal":
        """Make the folder and write the header."""
        recording_id = recording_id_of(start.session_id)
        filename = filename_of(start)
        folder = open_folder(recordings_dir, recording_id)
        disk.make_folder(folder)
        # Two sessions of one student may start in the same millisecond. A file of that name is looked for after the
        # claim: whoever made it gave up its own claim only then.
        claimed = disk.claim(claim_path(recordings_dir, filename), recording_id)
        taken = not claimed or (recordings_dir / filename).exists()
        header = Header(
            recording_id=recording_id,
            filename=filename_of(start, taken=taken),
            codec=codec,
            session=start,
        )
        journal = cls(folder, Manifest(header), disk)
        journal._append(header)
        return journal

    @classmethod
    def resume(cls, recordings_dir: Path, recording_id: str, disk: Disk) -> "Journal | None":
        """Go on where a crash or a stop left off: half a segment is deleted, a torn line is cut off.

        None where nothing was begun. Raises `ManifestBroken`.
        """
        journal = cls.read(recordings_dir, recording_id, disk)
        if journal is not None:
            with contextlib.suppress(OSError):  # a full disk: the next segment tells
                journal.take_over()
        return journal

    @classmethod
    def read(cls, recordings_dir: Path, recording_id: str, disk: Disk) -> "Journal | None":
        """As `resume`, of a recording that nothing more is written to."""
        folder = open_folder(recordings_dir, recording_id)
        manifest = read_manifest(recordings_dir, recording_id)
        if manifest is None:
            if folder.exists():  # nothing in it counts: it was never begun, or its deletion was cut short
                disk.remove(folder)
            return None
        known = {segment.filename for segment in manifest.segments} | {MANIFEST}
        for path in folder.iterdir():
            if path.name not in known:
                disk.remove(path)
        return cls(folder, manifest, disk)

    @property
    def manifest(self) -> Manifest:
        return Manifest(self._header, tuple(self._segments), self._failure, self._resumed, self._valid_bytes)

    def take_over(self) -> None:
        """From here on whoever wrote before is refused."""
        resumed = Resumed(number=self.manifest.next_number)
        self._append(resumed)
        self._resumed = resumed

    def temporary(self, name: str) -> Path:
        """A file of this owner's until it is moved to its place."""
        return self.folder / f"{name}-{self.manifest.next_number}.tmp"

    def check_owner(self) -> None:
        """Raises `TakenOver` when somebody else has resumed the recording, or even ended it."""
        self._disk.check_end(self.folder / MANIFEST, self._valid_bytes)

    def add_segment(self, segment: Segment, content: bytes) -> None:
        """Once this returns, the segment's frames are safe and may be finished in the log."""
        self.check_owner()
        path = self.folder / segment.filename
        try:
            self._disk.write(path, content)
            self._append(segment)
        except OSError:
            self._disk.remove(path)
            raise
        self._segments.append(segment)

    def add_failure(self, failure: Failure) -> None:
        self._failure = failure
        self._append(failure)

    def delete_segments(self) -> None:
        """Delete every picture; the manifest stays until `delete`, so that a crash in between is noticed."""
        for path in self.folder.iterdir():
            if path.name != MANIFEST:
                self._disk.remove(path)

    def delete(self) -> None:
        self.delete_segments()
        claim = claim_path(self.folder.parent.parent, filename_of(self._header.session))
        if claim.exists() and claim.read_text() == self._header.recording_id:
            self._disk.remove(claim)
        self._disk.remove(self.folder / MANIFEST)
        self._disk.remove(self.folder)

    def _append(self, line: Line) -> None:
        self._valid_bytes = self._disk.append(self.folder / MANIFEST, encode_line(line), self._valid_bytes)


def read_manifest(recordings_dir: Path, recording_id: str) -> Manifest | None:
    """What is safe of a recording under way; None where there is none. Raises `ManifestBroken`."""
    try:
        content = (open_folder(recordings_dir, recording_id) / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    return parse(content)
