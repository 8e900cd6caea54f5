"""Processes that can be hurt: Rapt's replicas, and what they stand on."""

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.support.kafka import KafkaNode
from tests.support.mongo import MongoServer
from tests.support.processes import RaptProcess


class Member(Protocol):
    """A process that can be hurt."""

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def terminate(self) -> int: ...


class Replica(RaptProcess):
    """One replica of a service, `analyzer-2` for instance, with a log and an identity of its own."""

    def __init__(self, name: str, data: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name.partition("-")[0], data, {**environment, "INSTANCE_ID": name})
        self.output = data.parent / f"{name}.log"


class Process:
    """A server that is no part of Rapt, started by a command."""

    def __init__(self, command: list[str], output: Path) -> None:
        self._command = command
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(20)
        self._process = None
        return code


class Broker:
    """Kafka."""

    def __init__(self, node: KafkaNode) -> None:
        self._node = node

    @property
    def pid(self) -> int:
        assert self._node._process is not None
        return self._node._process.pid

    def start(self) -> None:
        self._node.start()

    def kill(self) -> None:
        self._node.kill()

    def terminate(self) -> int:
        """Java answers SIGTERM with 143 once it has stopped in order."""
        process = self._node._process
        if process is None:
            return 0
        process.terminate()
        code = process.wait(30)
        self._node._process = None
        return 0 if code in (143, -signal.SIGTERM) else code


class Database:
    """The MongoDB-compatible server. It keeps all in memory, so it is paused and never killed."""

    def __init__(self, server: MongoServer) -> None:
        self._server = server

    @property
    def pid(self) -> int:
        return self._server.pid

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        raise AssertionError("its data would be gone")

    def terminate(self) -> int:
        raise AssertionError("its data would be gone")
