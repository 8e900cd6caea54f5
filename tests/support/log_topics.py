"""Topics for tests of the log."""

from schemas.topics import HOUR_MS, Topic

BIG = Topic("big", "key", "runtime", None, b"", partitions=3, retention_ms=HOUR_MS)
SMALL = Topic("small", "key", "runtime", None, b"", partitions=3, retention_bytes=100_000)
STATE = Topic("state", "key", "runtime", None, b"", partitions=3, retention_ms=None, compacted=True)
