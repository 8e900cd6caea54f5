"""A real Kafka node for tests: started once per session, killed and started again where a test wants that."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.needs import REPOSITORY, absent
from tests.support.processes import free_port

RUNNER = REPOSITORY / "deploy" / "kafka" / "kafka.py"
READY_WITHIN_S = 60.0


class KafkaNode:
    """One node on ports of its own. `start` after `kill` goes on with the same data on the same port."""

    def __init__(self, data: Path, options: Sequence[str] = ()) -> None:
        self._data = data
        self._options = options
        self._port = free_port()
        self._controller_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the node, unless it runs, and wait until it takes connections."""
        if self._process is not None and self._process.poll() is None:
            return
        output = (self._data / "output.txt").open("ab")
        command = [sys.executable, str(RUNNER), "--port", str(self._port)]
        command += ["--controller-port", str(self._controller_port), "--data", str(self._data / "node")]
        command += self._options
        with output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not start: {(self._data / 'output.txt').read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextmanager
def kafka_node(options: Sequence[str] = ()) -> Iterator[KafkaNode]:
    """A node, started; skips the test with the reason where Java or the jars are not to be had.

    `options` are those of the command that starts it."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None and not (program == "mvn" and _jars_are_here()):
            absent("kafka", f"{program} is not installed")
    fetched = subprocess.run([sys.executable, str(RUNNER), "--fetch-only"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        absent("kafka", f"its jars cannot be fetched: {fetched.stderr.strip()[-300:]}")
    with tempfile.TemporaryDirectory(prefix="rapt-kafka-", ignore_cleanup_errors=True) as folder:
        node = KafkaNode(Path(folder), options)
        try:
            node.start()
            yield node
        finally:
            node.kill()


def _jars_are_here() -> bool:
    return (REPOSITORY / ".cache" / "kafka" / "complete").exists()


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaNode]:
    """One node for all tests of the session; who kills it starts it again."""
    with kafka_node() as node:
        yield node
