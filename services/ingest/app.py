"""The composition root of ingest: the only place that wires it."""

import asyncio
from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.websockets import WebSocket

from schemas.wire import CLOSE_GOING_AWAY
from services.ingest.endings import OWNER_LIMIT_S
from services.ingest.live import LiveView
from services.ingest.live_socket import LiveEndpoint
from services.ingest.page import mount_page
from services.ingest.protocol import Limits
from services.ingest.rest import accounts, capabilities, lectures, sessions
from services.ingest.rest.lectures import ensure_demo_lecture
from services.ingest.results import TOPICS, Results
from services.ingest.streams import TOTALS_LIMIT_S, Streams
from services.ingest.sweep import Sweep
from services.ingest.websocket import StreamEndpoint
from services.runtime import clock
from services.runtime.api import BodyLimit, install_problems
from services.runtime.auth import Auth
from services.runtime.health import health_routes
from services.runtime.lifecycle import Part
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.store import Store

__all__ = ["Ingest", "build_app", "ensure_demo_lecture"]

RESULTS_AT_A_TIME = 256


class Ingest:
    """The edge as a part of a process. `asgi` is its app; an `HttpServer` serves it and stops after this part, so that
    the sockets are closed by the one who knows what they are owed."""

    name = "ingest"

    def __init__(
        self,
        asgi: FastAPI,
        log: EventLog,
        streams: Streams,
        sweep: Sweep,
        live: LiveView,
        live_endpoint: LiveEndpoint,
        results: Results,
    ) -> None:
        self.asgi = asgi
        self.streams = streams
        self.sweep = sweep
        self._live = live
        self._live_endpoint = live_endpoint
        self._consumer = log.consumer(TOPICS, results, group=None, max_records=RESULTS_AT_A_TIME)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._consumer.start()
        self._tasks = [
            asyncio.create_task(self.sweep.run(), name="ingest sweep"),
            asyncio.create_task(self._live.run(), name="ingest rosters"),
        ]

    async def stop(self) -> None:
        """Refuse new sockets, acknowledge what came, close with 1001. Sessions go on: clients come back."""
        self._live_endpoint.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.stop()
        watching = self._live.sockets
        for socket in watching:
            socket.close(CLOSE_GOING_AWAY, "the server stops; come back")
        await asyncio.gather(*(socket.closed() for socket in watching))
        await self._live.stop()
        await self._consumer.stop()

    async def check(self) -> None:
        """Raises while it starts or stops, and while the log does not take frames."""
        if not self._tasks:
            raise RuntimeError("not started")
        if self.streams.stopping:
            raise RuntimeError("stopping")
        if any(stream.publisher.troubled for stream in self.streams):
            raise RuntimeError("the event log does not take frames")


def build_app(
    settings: Settings,
    log: EventLog,
    store: Store,
    auth: Auth,
    metrics: Metrics,
    routers: Sequence[APIRouter] = (),
    parts: Sequence[Part] = (),
    *,
    now_ms: Callable[[], int] = clock.now_ms,
    limits: Limits | None = None,
    totals_limit_s: float = TOTALS_LIMIT_S,
    owner_limit_s: float | None = None,
) -> Ingest:
    """`routers` are other services' REST routers, mounted under `/api` too; `parts` are asked for readiness besides the
    edge itself."""
    limits = limits or Limits()
    live = LiveView(store)
    idle_ms = int(settings.session_idle_timeout_s * 1000)
    if owner_limit_s is None:  # embedded, nobody else can be streaming
        owner_limit_s = 0.0 if settings.embedded else OWNER_LIMIT_S
    streams = Streams(
        log,
        store,
        metrics,
        limits,
        now_ms,
        live.changed,
        idle_ms=idle_ms,
        totals_limit_s=totals_limit_s,
        owner_limit_s=owner_limit_s,
    )
    sweep = Sweep(streams, idle_ms=idle_ms, now_ms=now_ms)
    results = Results(streams, live, metrics, stale_after_ms=settings.stale_after_ms, now_ms=now_ms)
    live_endpoint = LiveEndpoint(live, store, auth, metrics)
    stream_endpoint = StreamEndpoint(streams, store, auth, metrics, limits, now_ms)

    app = FastAPI(title="Rapt", description="Live engagement from webcams.", version="1")
    app.state.auth = auth
    install_problems(app)
    app.add_middleware(BodyLimit)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type"],
        )
    for router in (
        accounts.build_router(store, auth),
        capabilities.build_router(emotion_inference=settings.emotion_inference == "on"),
        lectures.build_router(store, log, now_ms),
        sessions.build_router(store, auth, streams, dev_mode=settings.engagement_dev_mode, now_ms=now_ms),
        *routers,
    ):
        app.include_router(router, prefix="/api")

    @app.websocket("/api/sessions/{session_id}/stream")
    async def stream(websocket: WebSocket, session_id: str) -> None:
        await stream_endpoint(websocket, session_id)

    @app.websocket("/api/lectures/{lecture_code}/live")
    async def watch(websocket: WebSocket, lecture_code: str) -> None:
        await live_endpoint(websocket, lecture_code)

    ingest = Ingest(app, log, streams, sweep, live, live_endpoint, results)
    app.router.routes.extend(health_routes([ingest, *parts], metrics))
    mount_page(app)
    return ingest
