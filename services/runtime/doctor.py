"""What `rapt doctor` looks at: is this machine ready, and which settings are in force."""

import asyncio
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.runtime.settings import Settings, WrongSetting

MIN_FREE_BYTES = 1 << 30
# The modules by which an extra is known to be installed.
EXTRAS = {
    "ingest": ("websockets",),
    "analyzer": ("mediapipe", "cv2", "numpy"),
    "recorder": ("av", "cv2", "numpy"),
    "client": ("httpx", "cv2"),
    "mongo": ("pymongo",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `advice` says what to do; empty when all is well."""

    what: str
    ok: bool
    found: str
    advice: str = ""


def examine(settings: Settings, page: Path) -> list[Finding]:
    """Look at the interpreter, the extras, the page, the data directory, the port and the cluster's settings."""
    return [
        _python(),
        *_extras(settings),
        *_predictor(settings),
        Finding("page", page.exists(), "built" if page.exists() else "not built", "" if page.exists() else "make page"),
        *_data_directory(settings.rapt_data),
        _port(settings.host, settings.port),
        *_cluster(settings),
        _store(settings),
        _firebase(settings),
    ]


def settings_in_force(settings: Settings) -> dict[str, str]:
    """Every setting by its environment variable; secrets are shown as set or not."""
    shown = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        shown[name.upper()] = "(set)" if isinstance(value, SecretStr) else "" if value is None else str(value)
    return shown


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return Finding("python", ok, version, "" if ok else "use Python 3.11 or 3.12")


def _extras(settings: Settings) -> Iterator[Finding]:
    wanted = dict(EXTRAS)
    if settings.predictor_model is not None:
        wanted["onnx"] = ("onnxruntime",)
    if settings.firebase_database_url or settings.firebase_database_emulator_host:
        wanted["firebase"] = ("firebase_admin",)
    for extra, modules in wanted.items():
        if extra == "mongo" and settings.mongo_uri is None:
            continue
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        found = f"without {', '.join(missing)}" if missing else "installed"
        yield Finding(f"rapt[{extra}]", not missing, found, f"pip install 'rapt[{extra}]'" if missing else "")


def _predictor(settings: Settings) -> Iterator[Finding]:
    """Only whether the file is there: what is in it the analyzer checks when it starts."""
    if settings.predictor_model is not None:
        there = settings.predictor_model.is_file()
        advice = "" if there else "name an ONNX file with PREDICTOR_MODEL, or unset it"
        yield Finding("predictor", there, str(settings.predictor_model), advice)


def _data_directory(path: Path) -> Iterator[Finding]:
    nearest = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    advice = "" if writable else "choose another with --data"
    yield Finding("data directory", writable, str(path), advice)
    free = shutil.disk_usage(nearest).free
    enough = free >= MIN_FREE_BYTES
    yield Finding("free space", enough, f"{free / 2**30:.1f} GiB", "" if enough else "keep 1 GiB free for recordings")


def _port(host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding("port", False, f"{host}:{port}: {error.strerror}", "choose another with --port")
    return Finding("port", True, f"{host}:{port} is free")


def _cluster(settings: Settings) -> Iterator[Finding]:
    if settings.kafka_bootstrap_servers is None:
        yield Finding("event log", True, "local file (set KAFKA_BOOTSTRAP_SERVERS for a cluster)")
        return
    yield from _kafka(settings)
    has_secret = settings.jwt_secret is not None
    advice = "" if has_secret else "set JWT_SECRET to 32 or more random characters, the same for all replicas"
    yield Finding("JWT_SECRET", has_secret, "set" if has_secret else "missing", advice)


def _kafka(settings: Settings) -> Iterator[Finding]:
    from services.runtime.log.connection import connection_of

    try:
        connection = connection_of(settings)
    except WrongSetting as error:
        yield Finding("kafka", False, str(error), "mend that setting")
        return
    reached = []
    for server in connection.bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=2):
                reached.append(server)
                yield Finding("kafka", True, f"{server}, {settings.kafka_security_protocol}")
        except (OSError, ValueError) as error:
            yield Finding("kafka", False, f"{server}: {error}", "start the broker, or mend KAFKA_BOOTSTRAP_SERVERS")
    if reached and (refusal := asyncio.run(connection.refusal())):
        yield Finding("kafka", False, refusal, "mend the settings that it names")


def _store(settings: Settings) -> Finding:
    if settings.mongo_uri is None:
        return Finding("store", True, "local file (set MONGO_URI for a MongoDB)")
    try:
        from services.runtime.store.mongo_client import trouble, without_password
    except ModuleNotFoundError as error:
        return Finding("mongo", False, f"{error.name} is not installed", "pip install 'rapt[mongo]'")
    uri = settings.mongo_uri.get_secret_value()
    found = asyncio.run(trouble(uri, settings.db_name))
    advice = "start it, or mend MONGO_URI" if found else ""
    return Finding("mongo", not found, found or without_password(uri), advice)


def _firebase(settings: Settings) -> Finding:
    """Only whether the account's file is there: what is in it the sink checks when it starts."""
    url, path = settings.firebase_database_url, settings.firebase_credentials_path
    if settings.firebase_database_emulator_host:
        return Finding("firebase", True, f"emulator at {settings.firebase_database_emulator_host}")
    if url is None:
        return Finding("firebase", True, "off (set FIREBASE_DATABASE_URL)")
    if path is None:
        return Finding("firebase", False, f"{url}: no FIREBASE_CREDENTIALS_PATH", "name a service account's JSON file")
    if not os.access(path, os.R_OK):
        return Finding("firebase", False, f"{url}: cannot read {path}", "mend FIREBASE_CREDENTIALS_PATH")
    return Finding("firebase", True, url)
