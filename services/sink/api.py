"""The query API: what was measured in a session. Mounted under `/api`; needs the store and nothing else."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.exceptions import RequestValidationError

from schemas.events import FrameMetrics
from schemas.rest import MetricsPage, Problem, Summary
from services.runtime.access import session_for
from services.runtime.api import Caller
from services.runtime.store import Document, Filter, Store
from services.runtime.store.collections import METRICS
from services.sink.summary import Summarizer
from services.sink.thinning import LastPerStep

MAX_ENTRIES = 20_000  # some 20 MB of JSON: half an hour at 10 frames/s
_PAGE = 2_000
_LATEST_MS = 2**53

Time = Annotated[int | None, Query(ge=0, le=_LATEST_MS, description="UTC epoch in milliseconds, of `captured_at_ms`")]
Step = Annotated[int | None, Query(ge=1, le=86_400_000, description="one entry per so many milliseconds: the last")]


def build_router(store: Store) -> APIRouter:
    """Users reach their own sessions, instructors those of their lectures, an admin all; others get 404."""
    router = APIRouter(tags=["sessions"], responses={status: {"model": Problem} for status in (401, 404, 422, 503)})

    @router.get("/sessions/{session_id}/metrics", response_model=MetricsPage)
    async def metrics(
        session_id: str, caller: Caller, from_ms: Time = None, to_ms: Time = None, step_ms: Step = None
    ) -> Response:
        """Metrics with `from_ms` ≤ `captured_at_ms` < `to_ms`, in the order of their capture."""
        if from_ms is not None and to_ms is not None and to_ms <= from_ms:
            raise _invalid("to_ms", f"Value should be greater than from_ms ({from_ms})")
        await session_for(store, caller, session_id)
        where = _between(session_id, from_ms, to_ms)
        if step_ms is None:
            found = await store.find(METRICS.name, where, sort=_IN_ORDER, limit=MAX_ENTRIES + 1)
            entries = [_event(document) for document in found]
        else:
            thinned = LastPerStep(step_ms)
            async for documents in _pages(store, where):
                thinned.add(documents)
                if len(thinned) > MAX_ENTRIES:
                    break
            entries = [_event(document) for document in thinned.entries]
        if len(entries) > MAX_ENTRIES:
            raise _invalid("step_ms", f"More than {MAX_ENTRIES} entries; ask for a longer step or less time")
        page = MetricsPage(session_id=session_id, from_ms=from_ms, to_ms=to_ms, step_ms=step_ms, metrics=entries)
        return Response(page.encode(), media_type="application/json")

    @router.get("/sessions/{session_id}/summary")
    async def summary(session_id: str, caller: Caller) -> Summary:
        """The session in a few numbers; while it runs, up to now."""
        await session_for(store, caller, session_id)
        summarizer = Summarizer()
        async for documents in _pages(store, _between(session_id, None, None)):
            summarizer.add(documents)
        return summarizer.result(session_id)

    return router


_IN_ORDER = (("captured_at_ms", 1), ("seq", 1))


def _between(session_id: str, from_ms: int | None, to_ms: int | None) -> Filter:
    return {
        "session_id": session_id,
        "captured_at_ms": {"$gte": from_ms or 0, "$lt": _LATEST_MS + 1 if to_ms is None else to_ms},
    }


async def _pages(store: Store, where: Filter) -> AsyncIterator[list[Document]]:
    """All that match, a bounded number at a time. Sessions are hours long; their metrics need not fit in memory."""
    skip = 0
    while True:
        documents = await store.find(METRICS.name, where, sort=_IN_ORDER, limit=_PAGE, skip=skip)
        yield documents
        if len(documents) < _PAGE:
            return
        skip += _PAGE


def _event(document: Document) -> FrameMetrics:
    # What a newer analyzer may have added is left out.
    return FrameMetrics.model_validate(document, strict=False, extra="ignore")


def _invalid(field: str, reason: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": ("query", field), "msg": reason, "input": None}])
