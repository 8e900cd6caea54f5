"""`WS /lectures/{code}/live`: the instructor's socket. It only listens; whatever it says is ignored."""

from starlette.websockets import WebSocket

from schemas.wire import CLOSE_GOING_AWAY, CLOSE_TOKEN, CLOSE_UNKNOWN_SESSION
from services.ingest.live import LiveView
from services.ingest.outbox import Outbox
from services.ingest.socket import CLOSE_TRY_AGAIN_LATER, Socket
from services.runtime.access import owns_lecture
from services.runtime.auth import Auth, BadToken, IssuerUnavailable
from services.runtime.metrics import Metrics
from services.runtime.store import Store, StoreUnavailable
from services.runtime.store.collections import LECTURES

# A class of thirty at five messages a second, for two seconds.
MAX_RESULTS = 300


class LiveEndpoint:
    def __init__(self, live: LiveView, store: Store, auth: Auth, metrics: Metrics) -> None:
        self._live = live
        self._store = store
        self._auth = auth
        self._sockets = metrics.sockets.labels("live")
        self.stopping = False

    async def __call__(self, websocket: WebSocket, lecture_code: str) -> None:
        await websocket.accept()
        refusal = await self._refusal(lecture_code, websocket.query_params.get("token", ""))
        if refusal is not None:
            await websocket.close(*refusal)
            return
        socket = Socket(websocket, Outbox(credit=lambda: 0, max_results=MAX_RESULTS))

        async def read() -> None:
            await self._live.attach(lecture_code, socket)
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass

        self._sockets.inc()
        try:
            await socket.run(read)
        finally:
            self._sockets.dec()
            self._live.detach(lecture_code, socket)

    async def _refusal(self, lecture_code: str, token: str) -> tuple[int, str] | None:
        try:
            principal = await self._auth.identify(token, "access")
        except BadToken as error:
            return CLOSE_TOKEN, str(error)
        except IssuerUnavailable as error:
            return CLOSE_TRY_AGAIN_LATER, str(error)
        if self.stopping:
            return CLOSE_GOING_AWAY, "the server stops; come back"
        try:
            lecture = await self._store.get(LECTURES.name, lecture_code)
        except StoreUnavailable:
            return CLOSE_TRY_AGAIN_LATER, "the store is not available; come back"
        if not owns_lecture(principal, lecture):
            return CLOSE_UNKNOWN_SESSION, f"there is no lecture {lecture_code} of yours"
        return None
