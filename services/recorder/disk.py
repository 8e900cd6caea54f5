"""Writing that lasts: what these return from survives a power cut. Each raises `OSError` when the disk refuses."""

import errno
import os
import shutil
from pathlib import Path


class TakenOver(Exception):
    """The recording has another owner. This one, evicted while it slept, lets go."""


class DiskFull(Exception):
    """There is no room for what is to be written. That passes, once somebody makes some."""


def is_full(error: Exception) -> bool:
    """Whether this is the refusal of a disk without room, Python's or FFmpeg's."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """The file system, as the recorder writes to it; a test takes its place to be full."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.sync_folder(folder.parent)

    def write(self, path: Path, content: bytes) -> None:
        """Create or overwrite a file."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self.sync_folder(path.parent)

    def create(self, path: Path, content: bytes) -> bool:
        """Make a file of a new name; False where the name is taken. What a crash cuts short stays there, cut short."""
        try:
            with path.open("xb") as file:
                try:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    path.unlink(missing_ok=True)
                    raise
        except FileExistsError:
            return False
        self.sync_folder(path.parent)
        return True

    def append(self, path: Path, content: bytes, valid_bytes: int) -> int:
        """Put a line after the first `valid_bytes`; returns the end. A line that is refused leaves nothing behind.

        Raises `TakenOver` where the file is gone.
        """
        try:
            with path.open("r+b", buffering=0) as file:  # a buffer would try once more when the file is closed
                try:
                    file.truncate(valid_bytes)
                    file.seek(valid_bytes)
                    if file.write(content) != len(content):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(valid_bytes)
                    raise
        except FileNotFoundError:
            raise TakenOver("another recorder goes on with it") from None
        return valid_bytes + len(content)

    def publish(self, temporary: Path, final: Path) -> None:
        """Sync a finished file and move it to its place in one step; both lie on one file system."""
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(final)
        self.sync_folder(final.parent)

    def remove(self, path: Path) -> None:
        """Delete a file or a folder with all in it; nothing where it is gone already."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent.is_dir():
            self.sync_folder(path.parent)

    def sync_folder(self, folder: Path) -> None:
        """Names in a folder survive a power cut once the folder itself is synced."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
