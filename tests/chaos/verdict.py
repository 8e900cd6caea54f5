"""What was acknowledged against what is in files and stores. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from services.analyzer.domain.windows import WINDOW_MS
from services.client.tally import SeqSet
from services.client.timetable import Truth

RECOVERY_GOAL_S = 15.0
MOST_RANGES = 10  # of numbers, in a line for people


@dataclass(frozen=True, slots=True)
class Document:
    """What a session's `metrics` document says of its frame and of the session up to it."""

    seq: int
    captured_at_ms: int
    measured: bool
    blink_count: int
    yawn_count: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """One session. `in_files`: the number of every frame that the recordings' books have; `shown`: frames that the
    files play; `firebase` and `told`: the student's node there, and what it must be by the store and the script."""

    student: str
    acknowledged: Sequence[int] = field(repr=False)
    drawn: Truth
    recordings: Sequence[str]
    in_files: Sequence[int] = field(repr=False)
    shown: int
    documents: Sequence[Document] = field(repr=False)
    windows: Sequence[int] = field(repr=False)
    skipped: int | None
    firebase: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts of one session, or of all of them together; every one but the first three and `skipped` must be 0."""

    acknowledged: int = 0
    in_files: int = 0
    documents: int = 0
    missing: int = 0
    twice: int = 0
    not_shown: int = 0
    recordings_off: int = 0
    documents_missing: int = 0
    documents_twice: int = 0
    documents_unasked: int = 0
    counts_off: int = 0
    counts_back: int = 0
    epochs_back: int = 0
    windows_off: int = 0
    firebase_off: int = 0
    skipped: int = 0
    failures: int = 0

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


MUST_BE_ZERO: Mapping[str, str] = {
    "missing": "acknowledged frames missing from the files",
    "twice": "frames twice in the files",
    "not_shown": "frames in the books that the files do not play, or the other way round",
    "recordings_off": "sessions without exactly one completed recording",
    "documents_missing": "acknowledged frames without a metrics document that were not said to be skipped",
    "documents_twice": "metrics documents twice",
    "documents_unasked": "metrics documents of frames never acknowledged",
    "counts_off": "blinks and yawns too few or too many, where no frame was skipped",
    "counts_back": "times a counter went back",
    "epochs_back": "times an earlier owner's word stands among a later one's",
    "windows_off": "windows of predictions missing or twice",
    "firebase_off": "students whose final state in Firebase is not the truth",
    "failures": "streams lost for good",
}


def compare(evidence: Evidence) -> Compared:
    """One session."""
    acknowledged, filed = set(evidence.acknowledged), Counter(evidence.in_files)
    documented = Counter(document.seq for document in evidence.documents)
    ordered = sorted(evidence.documents, key=lambda document: document.seq)
    skipped = evidence.skipped or 0
    blinks = max((document.blink_count for document in ordered), default=0)
    yawns = max((document.yawn_count for document in ordered), default=0)
    windows = Counter(evidence.windows)
    return Compared(
        acknowledged=len(acknowledged),
        in_files=len(filed),
        documents=len(documented),
        missing=len(acknowledged - filed.keys()),
        twice=filed.total() - len(filed),
        not_shown=abs(evidence.shown - filed.total()),
        recordings_off=int(list(evidence.recordings) != ["completed"]),
        documents_missing=max(0, len(acknowledged - documented.keys()) - skipped),
        documents_twice=documented.total() - len(documented),
        documents_unasked=len(documented.keys() - acknowledged),
        # Who was thinned may have blinked between two frames that were analyzed.
        counts_off=0 if skipped else abs(blinks - evidence.drawn.blinks) + abs(yawns - evidence.drawn.yawns),
        counts_back=sum(
            later.blink_count < earlier.blink_count or later.yawn_count < earlier.yawn_count
            for earlier, later in pairwise(ordered)
        ),
        epochs_back=sum(later.epoch < earlier.epoch for earlier, later in pairwise(ordered)),
        windows_off=windows.total() - len(windows) + len(_told_windows(ordered) - windows.keys()),
        firebase_off=int(dict(evidence.firebase) != dict(evidence.told)),
        skipped=skipped,
        failures=int(evidence.failure is not None),
    )


def explain(evidence: Evidence) -> list[str]:
    """Which frames, which documents, which values: a line for each kind of loss of one session."""
    acknowledged, filed = set(evidence.acknowledged), Counter(evidence.in_files)
    documented = {document.seq for document in evidence.documents}
    found = {
        "missing from the files": acknowledged - filed.keys(),
        "twice in the files": {seq for seq, count in filed.items() if count > 1},
        "without a document": acknowledged - documented,
        "never acknowledged, with a document": documented - acknowledged,
    }
    lines = [f"frames {what}: {_ranges(seqs)}" for what, seqs in found.items() if seqs]
    if list(evidence.recordings) != ["completed"]:
        lines.append(f"recordings: {', '.join(evidence.recordings) or 'none'}")
    blinks = max((document.blink_count for document in evidence.documents), default=0)
    yawns = max((document.yawn_count for document in evidence.documents), default=0)
    for what, drawn, counted in (("blinks", evidence.drawn.blinks, blinks), ("yawns", evidence.drawn.yawns, yawns)):
        if drawn != counted:
            lines.append(f"{what}: {drawn} drawn, {counted} counted")
    for name in {**evidence.told, **evidence.firebase}:
        there, true = evidence.firebase.get(name), evidence.told.get(name)
        if there != true:
            lines.append(f"{name} in Firebase is {there!r}, the truth is {true!r}")
    if evidence.failure is not None:
        lines.append(f"stream: {evidence.failure}")
    return [f"{evidence.student}: {line}" for line in lines]


def _ranges(seqs: Collection[int]) -> str:
    """For instance `3-7, 9`; of many ranges the first few."""
    ranges = SeqSet(sorted(seqs)).ranges
    told = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:MOST_RANGES])
    return told if len(ranges) <= MOST_RANGES else f"{told}, … ({len(seqs)} in all)"


def _told_windows(documents: Sequence[Document]) -> set[int]:
    """The windows that there must be a prediction of: over, and measured most of the time. Others may lack one."""
    if not documents:
        return set()
    first_ms, last_ms = documents[0].captured_at_ms, documents[-1].captured_at_ms
    measured = Counter((each.captured_at_ms - first_ms) // WINDOW_MS for each in documents if each.measured)
    frames = Counter((each.captured_at_ms - first_ms) // WINDOW_MS for each in documents)
    under_way = (last_ms - first_ms) // WINDOW_MS
    return {window for window in measured if window < under_way and measured[window] > 0.8 * frames[window]}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one fault was felt like. `recovery_s`: until the results of all sessions flowed again; `caught_up_s`: until
    no consumer group was behind, of which `last_behind` was the last; None: not before the next fault. `held`: captures
    that had to wait."""

    name: str
    recovery_s: float | None
    caught_up_s: float | None
    last_behind: str
    longest_silence_s: float
    held: int


@dataclass(frozen=True, slots=True)
class Verdict:
    seed: int
    seconds: float
    total: Compared
    sessions: Mapping[str, Compared]
    costs: Sequence[Cost]
    not_reached: Sequence[str]
    dead_letters: int
    fallen: Sequence[str]
    exits: Mapping[str, int]
    details: Sequence[str] = ()

    @property
    def slowest_recovery_s(self) -> float | None:
        """None where a fault was not recovered from."""
        recoveries = [cost.recovery_s for cost in self.costs]
        known = [each for each in recoveries if each is not None]
        return None if len(known) < len(recoveries) else max(known, default=0.0)

    @property
    def breaches(self) -> list[str]:
        """What is not as promised, a line each."""
        found = []
        for name, what in MUST_BE_ZERO.items():
            if count := getattr(self.total, name):
                who = [student for student, each in self.sessions.items() if getattr(each, name)]
                found.append(f"{count} {what} ({', '.join(who)})")
        if not self.total.acknowledged:
            found.append("no frame was acknowledged")
        for cost in self.costs:
            if cost.recovery_s is None or cost.recovery_s > RECOVERY_GOAL_S:
                took = "did not end before the next one" if cost.recovery_s is None else f"took {cost.recovery_s:.1f} s"
                found.append(f"{cost.name}: recovery {took}, the goal is {RECOVERY_GOAL_S:g} s")
        if self.dead_letters:
            found.append(f"{self.dead_letters} records were taken for malformed or unworkable (dead-letters)")
        found += [f"{name} ended by itself" for name in self.fallen]
        found += [f"{name} ended with {code} on SIGTERM" for name, code in self.exits.items()]
        return found


def judge(
    evidence: Sequence[Evidence],
    costs: Sequence[Cost],
    *,
    seed: int,
    seconds: float,
    not_reached: Sequence[str] = (),
    dead_letters: int = 0,
    fallen: Sequence[str] = (),
    exits: Mapping[str, int] | None = None,
) -> Verdict:
    """All sessions together."""
    sessions = {each.student: compare(each) for each in evidence}
    total = sum(sessions.values(), Compared())
    details = [line for each in evidence for line in explain(each)]
    return Verdict(seed, seconds, total, sessions, costs, not_reached, dead_letters, fallen, exits or {}, details)
