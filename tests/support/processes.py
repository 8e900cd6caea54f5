"""Rapt as its users run it: real processes that can be killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0
RAPT = Path(sys.executable).with_name("rapt")
PASSWORD = "correct horse battery"
SECRET = "a secret for tests, long enough to be taken"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RaptProcess:
    """One `rapt …` process on a port of its own; its output goes to a file beside its data."""

    def __init__(
        self, command: str, data: Path, environment: Mapping[str, str] | None = None, program: Path = RAPT
    ) -> None:
        self.command = command
        self._program = program
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data.parent / f"{data.name}-{command}.log"
        self._arguments = [command, "--port", str(self.port), "--data", str(data)]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KAFKA_", "MONGO_", "FIREBASE_", "RAPT_DATA"))
        }
        self._environment = {**inherited, "DEMO_PASSWORD": PASSWORD, "JWT_SECRET": SECRET, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._program), *self._arguments],
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._ready():
            if self._process.poll() is not None:
                raise AssertionError(f"rapt {self.command} ended with {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"rapt {self.command} was not ready within {READY_WITHIN_S:g} s:\n{self.log()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError(f"rapt {self.command} is not running")
        return self._process.pid

    def log(self) -> str:
        return self.output.read_text(errors="replace")[-6000:]

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(STOPPED_WITHIN_S)
        self._process = None
        return code

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class Deployment(Protocol):
    """A running Rapt: embedded or a cluster. The tests of its users run against either."""

    url: str
    data: Path
    processes: Mapping[str, RaptProcess]

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Embedded:
    """`rapt up`."""

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        process = RaptProcess("up", data, environment)
        self.processes: Mapping[str, RaptProcess] = {"up": process}
        self.url = process.url
        self.data = data

    def start(self) -> None:
        self.processes["up"].start()

    def stop(self) -> None:
        self.processes["up"].terminate()


class Cluster:
    """The four services as processes of their own, over a real Kafka."""

    def __init__(self, data: Path, bootstrap_servers: str, environment: Mapping[str, str] | None = None) -> None:
        environment = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, **(environment or {})}
        self.processes: Mapping[str, RaptProcess] = {
            name: RaptProcess(name, data, environment) for name in ("sink", "recorder", "analyzer", "ingest")
        }
        self.url = self.processes["ingest"].url
        self.data = data

    def start(self) -> None:
        for process in self.processes.values():
            process.start()

    def stop(self) -> None:
        for process in reversed(list(self.processes.values())):
            process.terminate()
