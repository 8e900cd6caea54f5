"""All that a topic holds, read beside the services that use the log: no group, no lock, nothing written or committed.

For tools that look at a log. What is added while they read may be missing.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Protocol

from schemas.topics import Topic
from services.runtime.log.local_file import LogFile, unavailable
from services.runtime.log.port import LogUnavailable, Record, TopicPartition

READ_RECORDS, READ_BYTES = 256, 8 << 20


class History(Protocol):
    def records(self, topic: Topic) -> AsyncGenerator[Record, None]:
        """Each partition from its oldest record on. Raises `LogUnavailable`."""


class LocalHistory:
    """Of the file at `path`, which another process may be writing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def records(self, topic: Topic) -> AsyncGenerator[Record, None]:
        if not self._path.exists():
            raise LogUnavailable(f"there is no log at {self._path}; is the data directory the right one?")
        file = await asyncio.to_thread(LogFile, self._path, writable=False)
        try:
            for partition_id, number in await asyncio.to_thread(file.partitions, topic.name):
                source = TopicPartition(topic.name, number)
                head = await asyncio.to_thread(file.head, partition_id)
                offset = head.oldest
                while offset < head.next:
                    read, offset = await asyncio.to_thread(
                        file.read, source, partition_id, offset, head.next, READ_RECORDS, READ_BYTES
                    )
                    for record in read:
                        yield record
        except SqliteError as error:
            raise unavailable(error, self._path) from error
        finally:
            file.close()
