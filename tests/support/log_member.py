"""A process that is a member of a group: `python -m tests.support.log_member BOOTSTRAP TOPIC GROUP [INSTANCE]`.

It connects, says so, and joins when a line is written to it. Then it prints what its handler hears, in lines of JSON,
and finishes what it was handed when that is taken away.
"""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from schemas.topics import Topic
from services.runtime.lifecycle import stop_on_signals
from services.runtime.log import Consumer, Record, TopicPartition
from services.runtime.log.kafka import KafkaLog
from services.runtime.logging import configure_logging

PARTITIONS = 12


def topic_named(name: str) -> Topic:
    return Topic(name, "key", "runtime", None, b"", partitions=PARTITIONS)


class Tells:
    """A handler that prints what it hears."""

    consumer: Consumer

    def __init__(self) -> None:
        self._held: list[Record] = []

    async def assigned(self, partitions: frozenset[TopicPartition], epoch: int) -> None:
        _say("assigned", partitions=sorted(each.partition for each in partitions), epoch=epoch)

    async def handle(self, records: Sequence[Record]) -> None:
        _say("handle", values=[record.value.decode() for record in records])
        self._held += records

    async def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        _say("revoked", partitions=sorted(each.partition for each in partitions))
        for record in self._held:
            self.consumer.finish(record)


def _say(what: str, **more: object) -> None:
    print(json.dumps({"what": what, **more}), flush=True)  # noqa: T201 - what the test reads


async def belong(bootstrap: str, topic: Topic, group: str, instance_id: str | None) -> None:
    log, handler, stop = KafkaLog(bootstrap, [topic], instance_id=instance_id), Tells(), asyncio.Event()
    stop_on_signals(stop)
    await log.start()
    handler.consumer = log.consumer([topic], handler, group=group)
    _say("connected")
    await asyncio.to_thread(sys.stdin.readline)
    await handler.consumer.start()
    await stop.wait()
    await handler.consumer.stop()
    await log.close()


class MemberProcess:
    """Such a process, and what it said so far; `log` is what went to its log."""

    def __init__(self, bootstrap: str, topic: str, group: str, instance_id: str | None = None) -> None:
        command = [sys.executable, "-m", "tests.support.log_member", bootstrap, topic, group]
        self.heard: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [*command, instance_id] if instance_id else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(
                target=lambda lines: self.heard.extend(map(json.loads, lines)), args=[self._process.stdout]
            ),
            threading.Thread(target=self.log.extend, args=[self._process.stderr]),
        ]
        for reader in self._readers:
            reader.start()

    def _hear(self, lines: Iterable[str]) -> None:
        self.heard.extend(map(json.loads, lines))

    def told(self, what: str) -> list[dict[str, Any]]:
        return [each for each in self.heard if each["what"] == what]

    def join(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def send(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    def end(self, how: signal.Signals) -> int:
        """Send the signal and wait until the process and its output are gone; returns the exit code."""
        self._process.send_signal(how)
        code = self._process.wait(30)
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code


if __name__ == "__main__":
    configure_logging("warning", json=True)
    asyncio.run(belong(sys.argv[1], topic_named(sys.argv[2]), sys.argv[3], (*sys.argv[4:], None)[0]))
