"""A recording's document, carried on by its events. Pure.

Events may come again after a restart, and from an owner before the present one that overslept. A recording never goes
back: what a lower epoch says changes nothing, `segment` does not reopen what the same owner completed, and nothing
brings a deleted one back. Of two events of the same epoch and rank the later one counts.
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


def merge(document: Document | None, event: RecordingEvent, epoch: int = 0) -> Document:
    """The document after the event; the same document (the very object) where the event is behind it.

    `epoch`: that of the assignment under which it was written; 0 where it says none, and as the document's then. What
    an event does not say (None) stays as it was, except `error`, which belongs to the last event alone.
    """
    before = document or {}
    epoch = epoch or before.get("epoch", 0)
    if document is not None and _order(event.kind, epoch, event.at_ms) < _order(
        before["kind"], before.get("epoch", 0), before["at_ms"]
    ):
        return document
    said = event.model_dump(mode="json", exclude_none=True)
    if epoch:
        said["epoch"] = epoch
    return {**before, **said, "_id": event.recording_id, "status": _STATUS[event.kind], "error": event.error}


def _order(kind: str, epoch: int, at_ms: int) -> tuple[bool, int, int, int]:
    return kind == "deleted", epoch, _RANK[kind], at_ms
