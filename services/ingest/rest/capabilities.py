"""What this Rapt measures: asked by clients before they ask people for their consent."""

from fastapi import APIRouter

from schemas.rest import Capabilities
from services.runtime.api import Caller


def build_router(*, emotion_inference: bool) -> APIRouter:
    router = APIRouter(tags=["accounts"])

    @router.get("/capabilities")
    async def capabilities(caller: Caller) -> Capabilities:
        return Capabilities(emotion_inference=emotion_inference)

    return router
