"""Which parts make a process: everything in one (`rapt up`), or one service per replica over Kafka.

Parts are listed in the order they start; they stop in the reverse one: first the edge refuses new work, last the log
closes. Each service is imported only when it is assembled, so a replica needs its own extra and no other.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI

from services.runtime.accounts import DemoAccounts, Secrets
from services.runtime.auth import Auth
from services.runtime.health import health_routes
from services.runtime.http import HttpServer
from services.runtime.lifecycle import Part, StartFailed
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings, WrongSetting
from services.runtime.store.sqlite import SqliteStore


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
    demo_password: str
    show_password: bool


def page_index() -> Path:
    """The built page's entry."""
    return Path(__file__).parent / "ingest" / "web" / "dist" / "index.html"
