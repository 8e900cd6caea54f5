"""Run one Kafka node without Docker: `python deploy/kafka/kafka.py --port 9092 --data .cache/kafka/data`.

Needs Java 17 and, the first time, Maven (43 MB of jars into `.cache/kafka/libs`). The process becomes the node itself,
so that ending it ends Kafka. `--fetch-only` stops after the jars; `--properties` adds a file of settings, which win;
`--add-scram` makes an account when the folder is formatted. Uses the standard library alone.
"""

import argparse
import base64
import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "kafka"
LIBS = CACHE / "libs"
COMPLETE = CACHE / "complete"
JAVA = ("java", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Missing(Exception):
    """A program that is needed is not installed; the text says which."""


def fetch() -> None:
    """Get the jars once; who comes meanwhile waits."""
    LIBS.parent.mkdir(parents=True, exist_ok=True)
    with (LIBS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch()


def _fetch() -> None:
    if COMPLETE.exists() and COMPLETE.read_text() == (HERE / "pom.xml").read_text():
        return
    if shutil.which("mvn") is None:
        raise Missing("mvn is not installed; install Maven to fetch Kafka's jars")
    print("fetching Kafka's jars (43 MB, once)", file=sys.stderr)  # noqa: T201
    shutil.rmtree(LIBS, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    subprocess.run([*command, f"-DoutputDirectory={LIBS}"], check=True, stdout=sys.stderr)
    COMPLETE.write_text((HERE / "pom.xml").read_text())


def prepare(port: int, controller_port: int, data: Path, more: str = "", accounts: Sequence[str] = ()) -> Path:
    """Write the properties and format the folder where that was not done before; returns the properties."""
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    template = Template((HERE / "server.properties").read_text() + more)
    properties.write_text(template.substitute(port=port, controller_port=controller_port, data=data.resolve()))
    if not (data / "log" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        tool = [*JAVA, *_classpath(), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        tool += [part for account in accounts for part in ("--add-scram", account)]
        done = subprocess.run(
            [*tool, "-t", cluster, "-c", str(properties)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Missing(f"Kafka could not format {data}: {done.stdout}{done.stderr}")
    return properties


def _classpath() -> list[str]:
    return ["-cp", f"{LIBS}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


def main() -> None:
    """Parse the command line and become the node."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--controller-port", type=int, help="default: the port above")
    parser.add_argument("--data", type=Path, default=CACHE / "data")
    parser.add_argument("--properties", type=Path, help="more settings, in a file")
    parser.add_argument("--add-scram", action="append", default=[], help="SCRAM-SHA-512=[name=…,password=…]")
    parser.add_argument("--fetch-only", action="store_true")
    chosen = parser.parse_args()
    try:
        if shutil.which("java") is None:
            raise Missing("java is not installed; Kafka needs Java 17 or newer")
        fetch()
        if chosen.fetch_only:
            return
        more = chosen.properties.read_text() if chosen.properties else ""
        controller_port = chosen.controller_port or chosen.port + 1
        properties = prepare(chosen.port, controller_port, chosen.data, more, chosen.add_scram)
    except (Missing, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"kafka: {error}")
    print(f"Kafka on 127.0.0.1:{chosen.port}, data in {chosen.data}", file=sys.stderr)  # noqa: T201
    os.execvp("java", [*JAVA, *_classpath(), "kafka.Kafka", str(properties)])  # noqa: S606,S607


if __name__ == "__main__":
    main()
