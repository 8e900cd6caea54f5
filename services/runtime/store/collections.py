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
FEATURES = Collection("features", (Index(("session_id", "window")),))
CHANGE_SCORES = Collection("change_scores", (Index(("session_id", "window")),))
PREDICTIONS = Collection("predictions", (Index(("session_id", "window")),))
# The predictions of the last hour, for whoever shows what goes on now.
ACTIVE_PREDICTIONS = Collection(
    "active_predictions", (Index(("session_id", "window")),), lifetime_ms=3_600_000, expires_from="predicted_at_ms"
)
SIGNALS = Collection("signals", (Index(("session_id", "sampled_at_ms")),))
RECORDINGS = Collection(
    "recordings",
    (Index(("student_id", "started_at_ms")), Index(("session_id",)), Index(("lecture_code", "started_at_ms"))),
)
JOBS = Collection("jobs", (Index(("session_id",)), Index(("status",))))

COLLECTIONS = (
    USERS,
    LECTURES,
    SESSIONS,
    METRICS,
    STATUS,
    FEATURES,
    CHANGE_SCORES,
    PREDICTIONS,
    ACTIVE_PREDICTIONS,
    SIGNALS,
    RECORDINGS,
    JOBS,
)
BY_NAME = {collection.name: collection for collection in COLLECTIONS}
