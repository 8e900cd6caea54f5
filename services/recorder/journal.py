"""A recording under way on the disk: its folder with the segments and the manifests that say which of them count.

Whoever opens a recording becomes its owner: it creates a manifest of the next term, with all that the newest one says,
then deletes the older ones and the temporary files of their owners. The creation is exclusive, so that one of two gets
a term. It is refused to an epoch below the newest manifest's, so that an owner that slept cannot take a recording back.

No lock is held, for its holder may sleep with it. What an owner that was replaced still does when it wakes changes
nothing: its lines go to a manifest that is gone, its segments have names of their own, and a file of its making gets to
its final place only while it was not deleted, which the next owner does before it makes one itself. It may take frames
for safe that do not count, but can commit none of them: the group's next generation began before the next owner read.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from services.recorder.disk import Disk, TakenOver
from services.recorder.manifest import Failure, Header, Line, Manifest, Segment, encode_line, parse
from services.recorder.naming import claim_path, open_folder

_MANIFEST = re.compile(r"manifest(?:-(\d+))?\.jsonl")
_TEMPORARY = re.compile(r".+-(\d+)\.tmp")


class Journal:
    """The folder of one recording, in the hands of its owner of one term. One thread at a time.

    Every call blocks on the disk and may raise `OSError`. Those that write raise `TakenOver` once the recording has
    another owner, or is gone.
    """

    def __init__(self, folder: Path, manifest: Manifest, disk: Disk) -> None:
        self.folder = folder
        self._disk = disk
        self._header = manifest.header
        self._segments = list(manifest.segments)
        self._failure = manifest.failure
        self._path = folder / f"manifest-{manifest.header.term}.jsonl"
        self._valid_bytes = 0

    @classmethod
    def open(
        cls, recordings_dir: Path, recording_id: str, epoch: int, disk: Disk, begin: Callable[[], Header] | None = None
    ) -> "Journal | None":
        """Become the owner of a recording under way, or of a new one where none is and `begin` says what it is.

        None where none is under way. Raises `ManifestBroken`, and `TakenOver` for an epoch that is over.
        """
        folder = open_folder(recordings_dir, recording_id)
        while True:
            try:
                terms = _terms(folder)
                before = _newest(terms)
                if before is None:
                    if begin is None:
                        return None
                    disk.make_folder(folder)
                    before = Manifest(begin())
                elif before.header.epoch > epoch:
                    raise TakenOver(
                        f"it is recorded under epoch {before.header.epoch}; this recorder has epoch {epoch}"
                    )
                term = max(terms, default=0) + 1
                journal = cls(folder, before.taken_over(term, epoch), disk)
                if journal._create():
                    if max(_terms(folder), default=0) == term:
                        journal._clean()
                        return journal
                    disk.remove(journal._path)  # somebody was faster, by more than one term
            except FileNotFoundError:  # the next owner of what was read deleted it: look again
                continue

    @property
    def manifest(self) -> Manifest:
        return Manifest(self._header, tuple(self._segments), self._failure)

    @property
    def term(self) -> int:
        return self._header.term

    def temporary(self, name: str) -> Path:
        """A file of this owner's until `publish`."""
        return self.folder / f"{name}-{self.term}.tmp"

    def publish(self, temporary: Path, final: Path) -> None:
        """Move a temporary file to its place in one step."""
        self.check_owner()
        try:
            self._disk.publish(temporary, final)
        except FileNotFoundError:
            self.check_owner()
            raise

    def check_owner(self) -> None:
        """Raises `TakenOver` when somebody else has opened the recording, or even ended it."""
        if not self._path.exists():
            raise TakenOver("another recorder goes on with it")

    def add_segment(self, segment: Segment, content: bytes) -> None:
        """Once this returns, the segment's frames are safe and may be finished in the log."""
        self.check_owner()
        path = self.folder / segment.filename
        try:
            self._disk.write(path, content)
            self._append(segment)
        except (OSError, TakenOver):
            with contextlib.suppress(OSError):
                self._disk.remove(path)
            self.check_owner()  # where the whole folder is gone, the disk is not to blame
            raise
        self._segments.append(segment)

    def add_failure(self, failure: Failure) -> None:
        self.check_owner()
        self._failure = failure
        self._append(failure)

    def delete_segments(self) -> None:
        """Delete every picture; the manifest stays until `delete`, so that a crash in between is noticed."""
        self.check_owner()
        _delete_all_but_manifests(self.folder, self._disk)

    def _create(self) -> bool:
        """Write the manifest; False where somebody else has this term."""
        content = self.manifest.encode()
        self._valid_bytes = len(content)
        return self._disk.create(self._path, content)

    def _clean(self) -> None:
        """From here on nothing of an earlier owner gets to its place. First the manifests: each owner looks for its own
        after it made a file and before it moves it."""
        for pattern in (_MANIFEST, _TEMPORARY):
            for path in sorted(self.folder.iterdir()):
                if (name := pattern.fullmatch(path.name)) and int(name[1] or 0) < self.term:
                    self._disk.remove(path)

    def _append(self, line: Line) -> None:
        self._valid_bytes = self._disk.append(self._path, encode_line(line), self._valid_bytes)


def read_manifest(recordings_dir: Path, recording_id: str) -> Manifest | None:
    """What is safe of a recording under way; None where there is none. Raises `ManifestBroken`."""
    folder = open_folder(recordings_dir, recording_id)
    while True:
        with contextlib.suppress(FileNotFoundError):  # its next owner deleted it: there is a newer one, or none
            return _newest(_terms(folder))


def delete(recordings_dir: Path, recording_id: str, disk: Disk) -> None:
    """Delete what is left of a recording's time under way; after a crash in the middle of this, again."""
    folder = open_folder(recordings_dir, recording_id)
    if not folder.exists():
        return
    manifest = read_manifest(recordings_dir, recording_id)
    _delete_all_but_manifests(folder, disk)
    if manifest is not None:
        disk.remove(claim_path(recordings_dir, manifest.header.session))
    disk.remove(folder)


def _terms(folder: Path) -> dict[int, Path]:
    """Term → manifest, the newest first."""
    try:
        names = {path: _MANIFEST.fullmatch(path.name) for path in folder.iterdir()}
    except FileNotFoundError:
        return {}
    found = {int(name[1] or 0): path for path, name in names.items() if name}
    return dict(sorted(found.items(), reverse=True))


def _newest(terms: dict[int, Path]) -> Manifest | None:
    """The newest manifest that was begun whole. Raises `ManifestBroken`, and `FileNotFoundError` for one that was
    deleted since its name was read."""
    return next((manifest for path in terms.values() if (manifest := parse(path.read_bytes())) is not None), None)


def _delete_all_but_manifests(folder: Path, disk: Disk) -> None:
    for path in sorted(folder.iterdir()):
        if not _MANIFEST.fullmatch(path.name):
            disk.remove(path)
