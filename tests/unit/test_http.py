"""The HTTP server as a part: free ports, ports in use, and the health routes."""

import httpx
import pytest
from starlette.applications import Starlette

from services.runtime.health import health_routes
from services.runtime.http import HttpServer
from services.runtime.lifecycle import StartFailed
from services.runtime.metrics import Metrics


class Sick:
    name = "log"

    def __init__(self, reason: str | None) -> None:
        self._reason = reason

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def check(self) -> None:
        if self._reason:
            raise RuntimeError(self._reason)


async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    first = HttpServer(Starlette(), "127.0.0.1", 0)
    await first.start()
    try:
        second = HttpServer(Starlette(), "127.0.0.1", int(first.url.rpartition(":")[2]))
        with pytest.raises(StartFailed, match=r"cannot listen on 127\.0\.0\.1:\d+: .*--port"):
            await second.start()
    finally:
        await first.stop()


@pytest.mark.parametrize(("reason", "status"), [(None, 200), ("broker away", 503)])
async def test_readiness_names_the_part_and_why(reason: str | None, status: int) -> None:
    server = HttpServer(Starlette(routes=health_routes([Sick(reason)], Metrics())), "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == status
            assert ready.json()["parts"] == {"log": reason or "ok"}
            assert (await client.get("/livez")).status_code == 200
            assert "rapt_frames_in_total" in (await client.get("/metrics")).text
    finally:
        await server.stop()
