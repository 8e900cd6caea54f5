"""Every collection once: its indexes and, where documents go by themselves, their lifetime."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Index:
    """Fields that are looked for together; `unique`: no two documents agree in all of them."""

    fields: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """`lifetime_ms` counts from the document's `expires_from` field (UTC epoch milliseconds)."""

    name: str
    indexes: tuple[Index, ...] = ()
    lifetime_ms: int | None = None
    expires_from: str | None = None


USERS = Collection("users", (Index(("username",), unique=True),))
LECTURES = Collection("lectures", (Index(("instructor_id",)),))
SESSIONS = Collection(
    "sessions", (Index(("student_id", "created_at_ms")), Index(("lecture_code", "created_at_ms")), Index(("state",)))
)
METRICS = Collection("metrics", (Index(("session_id", "captured_at_ms")),))
STATUS = Collection("status", (Index(("session_id", "changed_at_ms")), Index(("lecture_code", "changed_at_ms"))))
PREDICTIONS = Collection("predictions", (Index(("session_id", "window")),))
SIGNALS = Collection("signals", (Index(("session_id", "sampled_at_ms")),))
RECORDINGS = Collection(
    "recordings",
    (Index(("student_id", "started_at_ms")), Index(("session_id",)), Index(("lecture_code", "started_at_ms"))),
)
JOBS = Collection("jobs", (Index(("session_id",)), Index(("status",))))

COLLECTIONS = (USERS, LECTURES, SESSIONS, METRICS, STATUS, PREDICTIONS, SIGNALS, RECORDINGS, JOBS)
BY_NAME = {collection.name: collection for collection in COLLECTIONS}
