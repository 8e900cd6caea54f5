"""`python -m tests.support.recorder_process DATA FIRST LAST`: a recorder that feeds itself, to be killed.

Publishes frames FIRST to LAST of session s-1 on a local log, prints the seq of each one that the log has, then ends
the session, waits until its recording is over, and prints `completed`.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from schemas.events import RecordingEvent
from schemas.topics import FRAMES, RECORDINGS
from services.recorder.app import build_app
from services.runtime.log import EventLog, Record, TopicPartition
from services.runtime.log.local import LocalLog
from services.runtime.logging import configure_logging
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from tests.support.recordings import end_of, headers_of, numbered_jpeg, start_of


class LastEvent:
    """Handler of the `recordings` topic; `over` is set once a recording has ended."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.kind = ""

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None: ...

    async def handle(self, records: Sequence[Record]) -> None:
        for record in records:
            self.kind = RecordingEvent.decode(record.value).kind
            if self.kind not in {"started", "segment"}:
                self.over.set()

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None: ...


async def main(data: Path, first: int, last: int) -> None:
    configure_logging("warning", json=False)  # standard output is for the seqs
    log: EventLog = LocalLog(data / "log.sqlite")
    await log.start()
    recorder = build_app(Settings(rapt_data=data), log, Metrics())
    await recorder.start()
    events = LastEvent()
    watcher = log.consumer([RECORDINGS], events, group=None)
    await watcher.start()

    async def publish(kind: str, seq: int, value: bytes) -> None:
        await (await log.send(FRAMES, "s-1", value, headers_of(kind, seq)))

    await publish("start", first, start_of().encode())
    for seq in range(first, last + 1):
        await publish("frame", seq, numbered_jpeg(seq))
        print(seq, flush=True)  # noqa: T201
    await publish("end", last + 1, end_of().encode())
    await events.over.wait()
    print(events.kind, flush=True)  # noqa: T201
    await watcher.stop()
    await recorder.stop()
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
