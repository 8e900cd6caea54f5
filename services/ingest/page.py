"""The built page, at `/`."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import Match, Mount
from starlette.types import Scope
from starlette.websockets import WebSocket

DIST = Path(__file__).parent / "web" / "dist"

_NOT_BUILT = """Rapt is running, but its page is not built.

Build it with `make page` (or: cd services/ingest/web && npm ci && npm run build) and start again.
The REST API is described at /docs.
"""


class _Page(Mount):
    """All paths but the API's: there a wrong method is 405, a wrong path 404 in JSON, and never the page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"].startswith("/api/"):
            return Match.NONE, {}
        return super().matches(scope)


def mount_page(app: FastAPI, dist: Path = DIST) -> None:
    """Serve the page, or say how to build it. Mounted last: it answers every path that is left."""

    @app.websocket("/{path:path}")
    async def no_such_socket(websocket: WebSocket, path: str) -> None:  # static files know no WebSockets
        await websocket.close()

    if (dist / "index.html").is_file():
        app.router.routes.append(_Page("/", StaticFiles(directory=dist, html=True), name="page"))
        return

    @app.get("/", include_in_schema=False)
    async def not_built() -> PlainTextResponse:
        return PlainTextResponse(_NOT_BUILT, status_code=503)
