"""Writing that lasts: what these return from survives a power cut. Each raises `OSError` when the disk refuses."""

import fcntl
import os
import shutil
from pathlib import Path


class TakenOver(Exception):
    """Somebody else wrote to a file: the recording has another owner. This one, evicted while it slept, lets go."""


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

    def append(self, path: Path, content: bytes, valid_bytes: int) -> int:
        """Put a line after the first `valid_bytes`, dropping half a line that a crash left there; returns the end.

        Raises `TakenOver` where those bytes do not end the file.
        """
        if valid_bytes == 0:
            path.touch()
        self.check_end(path, valid_bytes)
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.check_end(path, valid_bytes)
            file.truncate(valid_bytes)
            file.seek(valid_bytes)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if valid_bytes == 0:
            self.sync_folder(path.parent)
        return valid_bytes + len(content)

    def check_end(self, path: Path, valid_bytes: int) -> None:
        """Raises `TakenOver` where a file of lines has another end than its writer left it."""
        try:
            with path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(valid_bytes)
                if size_bytes >= valid_bytes and b"\n" not in file.read():
                    return
        except FileNotFoundError:
            pass
        raise TakenOver("another recorder goes on with this recording")

    def claim(self, path: Path, owner: str) -> bool:
        """Whether a name is the owner's: nobody else's, on whichever replica, from now until the file is removed."""
        try:
            with path.open("x") as file:
                file.write(owner)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return path.read_text() == owner
        return True

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
