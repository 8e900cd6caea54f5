"""All recordings under one folder: begun, gone on with, ended. Every call blocks on the disk; `OSError` passes.

Those that write raise `TakenOver` once another replica has opened the recording.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av

from schemas.events import RecordingEvent
from schemas.sessions import SessionEnd, SessionStart
from schemas.topics import HOUR_MS
from services.recorder.disk import Disk, is_full
from services.recorder.encoder import Codec, Encoder
from services.recorder.events import Kind, event_of, reason_of
from services.recorder.finish import write_playable
from services.recorder.finished import Finished
from services.recorder.journal import Journal, delete, read_manifest
from services.recorder.manifest import Failure, Header, Manifest, ManifestBroken
from services.recorder.metadata import Metadata, ranges
from services.recorder.naming import claim_path, filename_of, metadata_path, recording_id_of
from services.recorder.writer import Writer

SWEEP_AFTER_MS = HOUR_MS  # the log keeps frames for as long
MakeEncoder = Callable[[Codec, tuple[int, int] | None], Encoder]


class Archive:
    """`size`: width and height of every recording in pixels; None takes that of its first frame."""

    def __init__(
        self, recordings_dir: Path, codec: Codec, size: tuple[int, int] | None, encoder: MakeEncoder, disk: Disk
    ) -> None:
        self._dir = recordings_dir
        self._codec: Codec = codec
        self._size = size
        self._encoder = encoder
        self._disk = disk

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self._dir, self._dir / "open", self._dir / "metadata"):
            self._disk.make_folder(folder)

    def sweep(self, now_ms: int) -> None:
        """Delete `dev_mode` recordings that nothing was written to for an hour.

        Their end leaves no trace. So an owner that slept through it and wakes with the session in its queue begins the
        recording once more, and nobody ends that.
        """
        for folder in (self._dir / "open").glob("*/"):
            with contextlib.suppress(OSError, ManifestBroken):  # another replica may sweep too
                manifest = read_manifest(self._dir, folder.name)
                written_ms = max(path.stat().st_mtime_ns for path in (folder, *folder.iterdir())) // 1_000_000
                if manifest is not None and manifest.header.session.dev_mode and now_ms - written_ms > SWEEP_AFTER_MS:
                    delete(self._dir, folder.name, self._disk)

    def open(self, session_id: str, epoch: int, start: SessionStart | None = None) -> Writer | Metadata | None:
        """Go on with what was begun, here or on another replica; with `start`, begin it where nothing is under way.

        The metadata of a recording that has ended; None where there is none. `epoch` is that of the assignment of the
        session's partition. Raises `ManifestBroken`, and `TakenOver` for an epoch that is over.
        """
        recording_id = recording_id_of(session_id)
        if (metadata := read_metadata(self._dir, recording_id)) is not None:
            return metadata
        begin = None if start is None else partial(self._header, recording_id, start)
        journal = Journal.open(self._dir, recording_id, epoch, self._disk, begin)
        if journal is None:
            return None
        if (metadata := read_metadata(self._dir, recording_id)) is not None:
            with contextlib.suppress(OSError):  # it ended since the first look; two may be deleting what is left of it
                delete(self._dir, recording_id, self._disk)
            return metadata
        manifest = journal.manifest
        size = (manifest.segments[0].width, manifest.segments[0].height) if manifest.segments else self._size
        return Writer(journal, self._encoder(manifest.header.codec, size))

    def readable(self, session_id: str) -> Manifest | None:
        """What of a recording under way can be read, by whoever does not own it."""
        try:
            return read_manifest(self._dir, recording_id_of(session_id))
        except (OSError, ManifestBroken):
            return None

    def fail(self, writer: Writer, at_ms: int, error: str) -> RecordingEvent:
        """Note that nothing more will be written. What is safe stays so."""
        with contextlib.suppress(OSError):  # a full disk takes not even this line; the event tells it
            writer.journal.add_failure(Failure(at_ms=at_ms, error=error))
        return event_of("failed", writer.journal.manifest, at_ms, error=error)

    def playable_so_far(self, writer: Writer) -> None:
        """Leave a file that plays; the recording may go on. Nothing for `dev_mode`, whose file is nowhere."""
        manifest = writer.journal.manifest
        if manifest.segments and not manifest.header.session.dev_mode:
            write_playable(writer.journal, self._dir, self._disk)

    def end(self, writer: Writer, end: SessionEnd, at_ms: int) -> RecordingEvent:
        """The session ended and all its frames are safe: leave the final file, or delete it all (`dev_mode`).

        The journal's manifest stays until `forget`, so that a crash before the event is in the log does this again.
        """
        journal = writer.journal
        journal.check_owner()
        manifest = journal.manifest
        if manifest.header.session.dev_mode:
            journal.delete_segments()
            return event_of("deleted", manifest, at_ms, ended_at_ms=end.ended_at_ms)
        error = manifest.failure.error if manifest.failure else None
        finished: Finished | None = None
        if manifest.segments:
            try:
                finished = write_playable(journal, self._dir, self._disk)
            except (OSError, av.FFmpegError) as failure:
                journal.check_owner()  # its next owner may have deleted what this one was reading
                if is_full(failure):
                    raise
                error = error or f"the file could not be finished: {reason_of(failure)}"
        elif error is None:
            error = "no frame arrived that could be recorded"
        kind: Kind = "completed" if error is None else "failed"
        event = event_of(kind, manifest, at_ms, ended_at_ms=end.ended_at_ms, error=error, finished=finished)
        if finished is not None or not manifest.segments:
            self._write_metadata(journal, event)
        return event

    def forget(self, session_id: str, writer: Writer | None = None) -> None:
        """The end's event is in the log: drop the segments, unless they are all there is of the recording.

        `writer` is its owner's; None where the recording was over already, or where there was none.
        """
        recording_id = recording_id_of(session_id)
        over = metadata_path(self._dir, recording_id).exists()
        if writer is not None and writer.journal.manifest.header.session.dev_mode:
            writer.journal.check_owner()
            over = True
        if over or read_manifest(self._dir, recording_id) is None:
            delete(self._dir, recording_id, self._disk)

    def _header(self, recording_id: str, start: SessionStart) -> Header:
        # Two sessions of one student may start in the same millisecond: each claims the name, then looks who else does.
        # A file of that name is looked for last: whoever made it gave up its own claim only then.
        filename, claim = filename_of(start), claim_path(self._dir, start)
        self._disk.create(claim, b"")
        others = any(path != claim for path in claim.parent.glob(f"{filename}.*"))
        taken = others or (self._dir / filename).exists()
        return Header(
            recording_id=recording_id, filename=filename_of(start, taken=taken), codec=self._codec, session=start
        )

    def _write_metadata(self, journal: Journal, event: RecordingEvent) -> None:
        manifest = journal.manifest
        metadata = Metadata(
            event=event,
            session=manifest.header.session,
            seq_ranges=ranges(seq for seq, _ in manifest.frames),
            pts_ms=[pts_ms for _, pts_ms in manifest.frames],
        )
        temporary = journal.temporary("metadata")
        self._disk.write(temporary, metadata.encode())
        journal.publish(temporary, metadata_path(self._dir, event.recording_id))


def read_metadata(recordings_dir: Path, recording_id: str) -> Metadata | None:
    """Of a recording that has ended; None where there is none."""
    try:
        return Metadata.decode(metadata_path(recordings_dir, recording_id).read_bytes())
    except FileNotFoundError:
        return None
