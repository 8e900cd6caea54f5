"""Who takes part: Rapt's services as processes, Kafka, the MongoDB-compatible server and Firebase's stand-in; and what
can be done to them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from services.runtime.settings import Settings
from tests.chaos.schedule import DISK, Action
from tests.support.kafka import KafkaNode, kafka_node
from tests.support.mongo import MongoServer, mongo_server
from tests.support.processes import RaptProcess, free_port

REPLICAS = ("sink", "recorder-1", "recorder-2", "analyzer-1", "analyzer-2", "ingest")
SPARE = "analyzer-3"
DISK_BYTES = 512 << 20
FIREBASE_READY_WITHIN_S = 30.0


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


class Disk:
    """A small file system of its own for the recordings, where one may be mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * (1 << 20))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


class Cast:
    """All of them, by name. `exits`: those that SIGTERM did not end with exit code 0, with theirs."""

    def __init__(self, members: Mapping[str, Member], disk: Disk | None, settings: Settings, url: str) -> None:
        self.members = members
        self.settings = settings
        self.url = url
        self.disk = disk
        self.exits: dict[str, int] = {}

    def do(self, action: Action, target: str) -> None:
        """Blocks until it is done; `start` until the process is ready."""
        if target == DISK:
            assert self.disk is not None
            self.disk.fill() if action == "fill" else self.disk.free()
            return
        member = self.members[target]
        match action:
            case "kill":
                member.kill()
            case "terminate":
                try:
                    code = member.terminate()
                except subprocess.TimeoutExpired:
                    member.kill()
                    code = -signal.SIGKILL
                if code:
                    self.exits[target] = code
            case "start":
                member.start()
            case "pause":
                os.kill(member.pid, signal.SIGSTOP)
            case "resume":
                os.kill(member.pid, signal.SIGCONT)
            case _:
                raise AssertionError(f"{action} is nothing that is done to {target}")

    def fallen(self) -> list[str]:
        """Replicas that ended by themselves."""
        return [name for name in REPLICAS if not _runs(self.members[name].pid)]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@contextmanager
def cast(folder: Path, *, full_disk: bool) -> Iterator[Cast]:
    """Start everything; end everything. Skips (an exception of pytest) where Java is missing."""
    with ExitStack() as stack:
        broker = stack.enter_context(kafka_node())
        mongo = stack.enter_context(mongo_server())
        disk = stack.enter_context(_disk(folder / "recordings")) if full_disk else None
        firebase_port = free_port()
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "MONGO_URI": mongo.uri,
            "DB_NAME": "chaos",
            "FIREBASE_DATABASE_URL": "https://chaos.firebasedatabase.app",
            "FIREBASE_DATABASE_EMULATOR_HOST": f"127.0.0.1:{firebase_port}",
            "VIDEO_STORAGE_PATH": str(folder / "recordings"),
            # Two cores carry it all: nobody raises a hand here, and what comes late because of that is no loss.
            "POSE_HZ": "0",
            "STALE_AFTER_MS": "20000",
            "CATCH_UP_S": "120",
        }
        data = folder / "data"
        replicas = {name: Replica(name, data, environment) for name in (*REPLICAS, SPARE)}
        firebase = Process(
            [sys.executable, "-m", "tests.support.firebase", "--port", str(firebase_port)], folder / "firebase.log"
        )
        members: dict[str, Member] = {
            "kafka": Broker(broker),
            "mongo": Database(mongo),
            "firebase": firebase,
            **replicas,
        }
        settings = Settings(
            rapt_data=data,
            video_storage_path=folder / "recordings",
            kafka_bootstrap_servers=broker.bootstrap,
            mongo_uri=mongo.uri,
            db_name="chaos",
            firebase_database_emulator_host=f"127.0.0.1:{firebase_port}",
        )
        try:
            firebase.start()
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda name: replicas[name].start(), REPLICAS))
            yield Cast(members, disk, settings, replicas["ingest"].url)
        finally:
            for name in (*reversed(REPLICAS), SPARE, "firebase"):
                members[name].kill()


@contextmanager
def _disk(path: Path) -> Iterator[Disk | None]:
    """A tmpfs at `path`; None where it cannot be mounted, which takes root."""
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "rapt-chaos", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
