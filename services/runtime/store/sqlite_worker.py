"""Threads with a SQLite connection each."""

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.runtime.store.sqlite_file import open_connection

T = TypeVar("T")


class SqliteWorker:
    """Runs jobs with a connection, at most `threads` at a time; further ones wait in the order they came."""

    def __init__(self, path: Path, *, threads: int, read_only: bool) -> None:
        """Opens the connections; raises `sqlite3.Error`."""
        self._connections: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        try:
            for _ in range(threads):
                self._connections.put(open_connection(path, read_only=read_only))
        except BaseException:
            self._close_connections()
            raise
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="store-read" if read_only else "store-write")

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._with_connection, job)

    def close(self) -> None:
        """Wait for the jobs handed over, then close the connections. Blocks."""
        self._executor.shutdown(wait=True)
        self._close_connections()

    def _close_connections(self) -> None:
        while not self._connections.empty():
            self._connections.get_nowait().close()

    def _with_connection(self, job: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connections.get_nowait()  # as many connections as threads: never empty
        try:
            return job(connection)
        finally:
            self._connections.put(connection)
