"""A real server that speaks MongoDB's protocol for tests: paused, killed and started again where a test wants that.

By default mongo-java-server (all in memory, so that a kill loses the data); with `RAPT_TEST_BACKENDS=containers`
MongoDB itself in Docker, by testcontainers.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.needs import REPOSITORY, absent
from tests.support.processes import free_port

SOURCES = Path(__file__).parent / "mongo_java"
CACHE = REPOSITORY / ".cache" / "mongo"
CLASSPATH = f"{CACHE / 'classes'}:{CACHE / 'libs'}/*"
JAVA = ("java", "-Xms64m", "-Xmx1536m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
QUIETLY = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
READY_WITHIN_S = 60.0
MONGODB_IMAGE = "mongo:8.0"


class MongoServer(Protocol):
    """One server on a port that it keeps."""

    @property
    def uri(self) -> str: ...

    @property
    def pid(self) -> int:
        """Of the server's process on this machine."""

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it takes connections."""

    def kill(self) -> None:
        """kill -9."""

    def pause(self) -> None:
        """Let the server neither answer nor go away."""

    def resume(self) -> None:
        """Undo `pause`; does nothing to a server that runs or is gone."""


class JavaServer:
    """mongo-java-server as a child process."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "output.txt"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError("the MongoDB-compatible server is not running")
        return self._process.pid

    def start(self) -> None:
        if self._process is not None:
            return
        with self._output.open("ab") as output:
            command = [*JAVA, QUIETLY, "-cp", CLASSPATH, "Server", str(self._port)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + READY_WITHIN_S
        while not _listens(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the MongoDB-compatible server did not start: {self._output.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)  # until then its threads go on, on a busy machine for a while

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


class ContainerServer:
    """MongoDB in a container, with an account: its port, its account and its data outlive a kill."""

    def __init__(self) -> None:
        from testcontainers.community.mongodb import MongoDbContainer

        self._port = free_port()
        self._container = MongoDbContainer(MONGODB_IMAGE, username="rapt", password="secret")
        self._container.with_bind_ports(27017, self._port)

    @property
    def uri(self) -> str:
        return f"mongodb://rapt:secret@{self._container.get_container_host_ip()}:{self._port}"

    @property
    def pid(self) -> int:
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return int(wrapped.attrs["State"]["Pid"])

    def create(self) -> None:
        self._container.start()
        self._wait_until_it_answers()

    def remove(self) -> None:
        self._container.stop()

    def start(self) -> None:
        self._container.get_wrapped_container().start()  # does nothing to one that runs
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        # Not only until its port is open: Docker opens that at once, and MongoDB starts twice to make the account.
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        deadline = time.monotonic() + READY_WITHIN_S
        with MongoClient[dict[str, object]](self.uri, serverSelectionTimeoutMS=2_000) as client:
            while True:
                try:
                    client.admin.command("ping")
                except PyMongoError as error:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"MongoDB did not start: {error}") from error
                    time.sleep(0.1)
                else:
                    return

    def kill(self) -> None:
        self._container.get_wrapped_container().kill("SIGKILL")
        self._container.get_wrapped_container().wait()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        if wrapped.status == "paused":
            wrapped.unpause()


def in_containers() -> bool:
    """Whether the servers for tests are to come from Docker."""
    return os.environ.get("RAPT_TEST_BACKENDS", "local") == "containers"


def new_database() -> str:
    """A name that no other test has."""
    return f"test_{uuid.uuid4().hex}"


@contextmanager
def mongo_server() -> Iterator[MongoServer]:
    """A server, started; skips the test with the reason where what it needs is not to be had."""
    if in_containers():
        if (
            shutil.which("docker") is None
            or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
        ):
            absent("mongo", "Docker does not run here")
        container = ContainerServer()
        try:
            container.create()
            yield container
        finally:
            container.remove()
        return
    _fetch()
    with tempfile.TemporaryDirectory(prefix="rapt-mongo-", ignore_cleanup_errors=True) as folder:
        server = JavaServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def mongo() -> Iterator[MongoServer]:
    """One server for all tests of the session, each with a database of its own; who stops it starts it again."""
    with mongo_server() as server:
        yield server


def _fetch() -> None:
    """Get the jars and compile the launcher, once per version of both."""
    wanted = (SOURCES / "pom.xml").read_text() + (SOURCES / "Server.java").read_text()
    complete = CACHE / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs may begin together
        done = complete.exists() and complete.read_text() == wanted
        for program in ("java",) if done else ("java", "javac", "mvn"):
            if shutil.which(program) is None:
                absent("mongo", f"{program} is not installed")
        if done:
            return
        copy = ["mvn", "-q", "-B", "-f", str(SOURCES / "pom.xml"), "dependency:copy-dependencies"]
        compile_ = ["javac", "-cp", f"{CACHE / 'libs'}/*", "-d", str(CACHE / "classes"), str(SOURCES / "Server.java")]
        for command in ([*copy, f"-DoutputDirectory={CACHE / 'libs'}"], compile_):
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                absent("mongo", f"{command[0]} failed: {(ran.stderr or ran.stdout).strip()[-300:]}")
        complete.write_text(wanted)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
