"""What SQLite's errors mean for whoever runs Rapt."""

import sqlite3
from pathlib import Path

from services.runtime.store.port import StoreUnavailable

_WORDS = {
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "it may not be written; check the permissions of the file and its folder",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder exists and may be written",
    "SQLITE_PERM": "it may not be opened; check the permissions of the file and its folder",
    "SQLITE_IOERR": "reading or writing failed; check the disk",
    "SQLITE_BUSY": "another process holds it for too long; try again",
    "SQLITE_LOCKED": "another process holds it for too long; try again",
    "SQLITE_CORRUPT": "it is damaged; restore it from a copy, or move it away to begin anew",
    "SQLITE_NOTADB": "it is not a store; move it away to begin anew, or choose another data directory",
}


def plain_words(error: sqlite3.Error, path: Path) -> Exception:
    """`StoreUnavailable` in plain words, or the error itself where it is a mistake in the code."""
    name = getattr(error, "sqlite_errorname", "")
    for code, words in _WORDS.items():
        if name == code or name.startswith(f"{code}_"):
            return StoreUnavailable(f"{path}: {words}")
    return error
