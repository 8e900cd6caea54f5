"""One process per log file: a lock that the operating system gives back when its owner ends, however it ends."""

import fcntl
import os
from pathlib import Path

from services.runtime.log.port import LogStartFailed


class DataLock:
    """Holds `<file>.lock`, in which the owner's process id is written."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._handle: int | None = None

    def take(self) -> None:
        """Raises `LogStartFailed` when another process has it, or the folder cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LogStartFailed(
                f"cannot write in {self._path.parent}: {error.strerror}; choose another data directory"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise LogStartFailed(
                f"{self._path.parent} is in use by another Rapt (process {owner}); stop it or choose another data"
                " directory"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
