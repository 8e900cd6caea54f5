"""Uvicorn as a part of a process: it binds before it says that it started, and stops when told."""

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

from services.runtime.lifecycle import StartFailed


class HttpServer:
    """Serves one ASGI app. `port` 0 takes a free one; after `start`, `url` says where."""

    name = "http"

    def __init__(self, app: ASGIApp, host: str, port: int, *, max_message_bytes: int = 5 << 20) -> None:
        self._host = host
        self._port = port
        # uvicorn closes a socket whose message is larger with 1009; frames between our limit and this one get a reason.
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                lifespan="off",
                ws_max_size=max_message_bytes,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=3,
                access_log=False,
                log_level="warning",  # at info it logs each socket's address, and with it the token
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            raise StartFailed(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}; choose another --port or --host"
            ) from None
        self._port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise StartFailed("the HTTP server ended while starting")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def check(self) -> None:
        if self._task is None or self._task.done():
            raise RuntimeError("not serving")


class _Server(uvicorn.Server):
    """Signals are the process's business (services.runtime.lifecycle), not the server's."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield
