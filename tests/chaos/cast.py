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

from services.runtime.settings import Settings
from tests.chaos.members import Broker, Database, Member, Process, Replica
from tests.chaos.schedule import DISK, Action
from tests.support.kafka import kafka_node
from tests.support.mongo import mongo_server
from tests.support.processes import free_port

REPLICAS = ("sink", "recorder-1", "recorder-2", "analyzer-1", "analyzer-2", "ingest")
SPARE = "analyzer-3"
DISK_BYTES = 512 << 20


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
            # Two cores carry it all: nobody raises a hand here, and nothing is thinned, however late. A script's clock
            # stands still while its student has to wait, and ingest shows what is behind all the same.
            "POSE_HZ": "0",
            "STALE_AFTER_MS": "600000",
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
