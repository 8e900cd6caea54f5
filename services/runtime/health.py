"""`/livez`, `/readyz` and `/metrics`: the same three routes on every service."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from services.runtime.lifecycle import Part
from services.runtime.metrics import Metrics

CHECK_TIMEOUT_S = 2.0


def health_routes(parts: Sequence[Part], metrics: Metrics) -> list[Route]:
    """Routes for a Starlette or FastAPI app. Ready means that every part's `check` passes within two seconds."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        reasons = dict(zip((part.name for part in parts), await asyncio.gather(*map(_reason, parts)), strict=True))
        ready = all(reason is None for reason in reasons.values())
        return JSONResponse(
            {"ready": ready, "parts": {name: reason or "ok" for name, reason in reasons.items()}},
            status_code=200 if ready else 503,
        )

    async def prometheus(_: Request) -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", prometheus)]


async def _reason(part: Part) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await part.check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # any reason at all means not ready; its text says why
        return str(error) or type(error).__name__
    return None
