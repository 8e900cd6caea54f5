"""A recording's document, carried on by its events. Pure.

Events may come again after a restart. A recording never goes back: `segment` does not reopen a completed one, and
nothing brings a deleted one back. Of two events of the same rank the later one counts.
"""

from schemas.events import RecordingEvent
from services.runtime.store import Document

_RANK = {"started": 0, "segment": 1, "completed": 2, "failed": 2, "deleted": 3}
_STATUS = {
    "started": "recording",
    "segment": "recording",
    "completed": "completed",
    "failed": "failed",
    "deleted": "deleted",
}


def merge(document: Document | None, event: RecordingEvent) -> Document:
    """The document after the event; the same document (the very object) where the event is behind it.

    What an event does not say (None) stays as it was, except `error`, which belongs to the last event alone.
    """
    if document is not None and _order(event) < (_RANK[document["kind"]], document["at_ms"]):
        return document
    said = event.model_dump(mode="json", exclude_none=True)
    return {
        **(document or {}),
        **said,
        "_id": event.recording_id,
        "status": _STATUS[event.kind],
        "error": event.error,
    }


def _order(event: RecordingEvent) -> tuple[int, int]:
    return _RANK[event.kind], event.at_ms
