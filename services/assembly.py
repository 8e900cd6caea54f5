"""Which parts make a process: everything in one (`rapt up`), or one service per replica over Kafka.

Parts are listed in the order they start; they stop in the reverse one: first the edge refuses new work, last the log
closes. Each service is imported only when it is assembled, so a replica needs its own extra and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastapi import APIRouter
from rich.markup import escape
from starlette.applications import Starlette

from services.runtime.accounts import ensure_demo_accounts
from services.runtime.auth import Auth
from services.runtime.clock import now_ms
from services.runtime.deadletter import LetterId, Wanted
from services.runtime.deadletter_desk import NoSuchLetter, Retried, read_letters, retry
from services.runtime.health import health_routes
from services.runtime.http import HttpServer
from services.runtime.lifecycle import Part, StartFailed
from services.runtime.log.history import History, LocalHistory
from services.runtime.metrics import Metrics
from services.runtime.secrets import DEMO_PASSWORD_FILE, Secrets
from services.runtime.settings import Settings, WrongSetting
from services.runtime.store import Store
from services.runtime.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from services.ingest.app import Ingest
    from services.runtime.log.kafka import KafkaLog


class StorePart(Store, Part, Protocol):
    """A store that lives as long as its process."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of one service."""

    name: str
    parts: list[Part]
    http: HttpServer


@dataclass(frozen=True, slots=True)
class Embedded:
    """All services in one process, with demo accounts."""

    parts: list[Part]
    http: HttpServer
    edge: Ingest
    demo_password: str
    password_hint: str  # the password when it was made just now, else where to find it


class DemoData:
    """Accounts and a lecture to begin with, made where they are missing."""

    name = "demo data"

    def __init__(self, store: Store, auth: Auth, password: str) -> None:
        self._store = store
        self._auth = auth
        self._password = password

    async def start(self) -> None:
        from services.ingest.rest.lectures import ensure_demo_lecture

        await ensure_demo_accounts(self._store, self._auth, self._password)
        await ensure_demo_lecture(self._store, now_ms())

    async def stop(self) -> None: ...

    async def check(self) -> None: ...


def page_index() -> Path:
    """The built page's entry."""
    from services.ingest.page import DIST

    return DIST / "index.html"


def embedded(settings: Settings) -> Embedded:
    """Everything in this process, over files in the data directory. Raises `StartFailed` when it cannot be written."""
    from services.analyzer.app import build_app as build_analyzer
    from services.ingest.app import build_app as build_ingest
    from services.recorder.app import build_app as build_recorder
    from services.runtime.log.local import LocalLog
    from services.sink.app import build_app as build_sink

    data = _data_directory(settings)
    secrets = Secrets.load(data, settings)
    auth, metrics = _auth(settings, secrets.jwt_secret), Metrics()
    log, store = LocalLog(data / "log.sqlite"), _store(settings, metrics)
    services: list[Part] = [
        build_sink(settings, log, store, metrics),
        build_recorder(settings, log, metrics),
        build_analyzer(settings, log, metrics),
    ]
    edge = build_ingest(
        settings, log, store, auth, metrics, routers=_routers(settings, store), parts=[log, store, *services]
    )
    http = HttpServer(edge.asgi, settings.host, settings.port)
    demo = DemoData(store, auth, secrets.demo_password)
    return Embedded(
        parts=[log, store, demo, *services, http, edge],
        http=http,
        edge=edge,
        demo_password=secrets.demo_password,
        password_hint=_password_hint(secrets, settings),
    )


def _password_hint(secrets: Secrets, settings: Settings) -> str:
    if settings.demo_password:
        return "the one in DEMO_PASSWORD"
    if secrets.demo_password_is_new:
        return f"[bold]{secrets.demo_password}[/bold]"
    return f"as shown before, kept in {escape(str(settings.rapt_data / DEMO_PASSWORD_FILE))}"


def ingest(settings: Settings) -> Replica:
    """The edge; it answers the REST of recorder and sink too (docs/decisions/0007-edge-answers-rest.md)."""
    from services.ingest.app import build_app

    log, metrics = _cluster_log(settings), Metrics()
    store = _store(settings, metrics)
    auth = _auth(settings, _cluster_secret(settings))
    edge = build_app(settings, log, store, auth, metrics, routers=_routers(settings, store), parts=[log, store])
    http = HttpServer(edge.asgi, settings.host, settings.port)
    demo: list[Part] = []
    if settings.demo_password:
        demo.append(DemoData(store, auth, settings.demo_password.get_secret_value()))
    return Replica("ingest", [log, store, *demo, http, edge], http)


def analyzer(settings: Settings) -> Replica:
    """Needs the log alone."""
    from services.analyzer.app import build_app

    log, metrics = _cluster_log(settings), Metrics()
    return _replica("analyzer", settings, metrics, [log], build_app(settings, log, metrics))


def recorder(settings: Settings) -> Replica:
    """Needs the log and the folder of recordings."""
    from services.recorder.app import build_app

    log, metrics = _cluster_log(settings), Metrics()
    return _replica("recorder", settings, metrics, [log], build_app(settings, log, metrics))


def sink(settings: Settings) -> Replica:
    """Needs the log and the store."""
    from services.sink.app import build_app

    log, metrics = _cluster_log(settings), Metrics()
    store = _store(settings, metrics)
    return _replica("sink", settings, metrics, [log, store], build_app(settings, log, store, metrics))


def history(settings: Settings) -> History:
    """All that the log holds, to be read beside whatever runs."""
    if settings.embedded:
        return LocalHistory(settings.rapt_data / "log.sqlite")
    from services.runtime.log.connection import connection_of
    from services.runtime.log.kafka_history import KafkaHistory

    return KafkaHistory(connection_of(settings))


async def retry_dead_letters(settings: Settings, letters: Sequence[LetterId], wanted: Wanted) -> Retried:
    """Send these letters again; without any, all wanted ones that were not sent again yet.

    The local log is opened for that: `StartFailed` says so where another process has it.
    """
    from services.runtime.log.local import LocalLog

    past = history(settings)
    there = await read_letters(past)
    chosen = letters or [each.id for each in there if each.retried_at_ms is None and wanted.takes(each)]
    missing = set(chosen) - {each.id for each in there}
    if missing:
        raise NoSuchLetter(missing)
    log = LocalLog(settings.rapt_data / "log.sqlite") if settings.embedded else _cluster_log(settings)
    await log.start()
    try:
        return await retry(past, log, there, chosen)
    finally:
        await log.close()


def _replica(name: str, settings: Settings, metrics: Metrics, ground: list[Part], service: Part) -> Replica:
    health = Starlette(routes=health_routes([*ground, service], metrics))
    http = HttpServer(health, settings.host, settings.port)
    return Replica(name, [*ground, http, service], http)


def _routers(settings: Settings, store: Store) -> list[APIRouter]:
    from services.recorder.api import build_router as recordings
    from services.sink.api import build_router as queries

    return [recordings(settings, store), queries(store)]


def _cluster_log(settings: Settings) -> KafkaLog:
    from services.runtime.log.connection import connection_of
    from services.runtime.log.kafka import KafkaLog

    connection = connection_of(settings)
    return KafkaLog(connection.bootstrap, security=connection.security, instance_id=settings.instance_id)


def _auth(settings: Settings, secret: str) -> Auth:
    if settings.jwt_jwks_url is None:
        return Auth(secret)
    from services.runtime.issuer import JwksIssuer

    return Auth(secret, JwksIssuer(settings.jwt_jwks_url))


def _cluster_secret(settings: Settings) -> str:
    if settings.jwt_secret is None:
        raise WrongSetting("JWT_SECRET: not set; wanted 32 or more random characters, the same for all replicas")
    return settings.jwt_secret.get_secret_value()


def _store(settings: Settings, metrics: Metrics) -> StorePart:
    if settings.mongo_uri is None:
        return SqliteStore(_data_directory(settings) / "store.sqlite")
    from services.runtime.store.mongo import MongoStore
    from services.runtime.store.mongo_pool import PoolGauges

    return MongoStore(settings.mongo_uri.get_secret_value(), settings.db_name, listeners=[PoolGauges(metrics)])


def _data_directory(settings: Settings) -> Path:
    path = settings.rapt_data
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # recordings and password hashes are nobody else's
    except OSError as error:
        raise StartFailed(
            f"cannot make the data directory {path}: {error.strerror}; choose another with --data"
        ) from None
    return path
