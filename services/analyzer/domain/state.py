"""What the analyzer knows of a session, what it is shown, and what it says. All immutable."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.events import Emotion, FrameMetrics, Gaze, HeadPose, InsufficientReason, State, StatusChanged
from schemas.sessions import Consent, SessionStart
from services.analyzer.domain.attention import Attention
from services.analyzer.domain.body import Body
from services.analyzer.domain.expression import Expression, See
from services.analyzer.domain.faces import Following
from services.analyzer.domain.hands import Hands
from services.analyzer.domain.person import Person
from services.analyzer.domain.prediction import Concluded, Past
from services.analyzer.domain.quality import Clarity
from services.analyzer.domain.windows import Windows


@dataclass(frozen=True, slots=True)
class Observation:
    """One decoded frame. `landmarks_px`: (478, 3) in pixels of the frame as sent; None when the person's face is not
    there. `following` is who is followed after it. `clarity` is None when the eyes are not in the picture.
    `body_looked` says that the pose model was asked; `body` is what it found."""

    seq: int
    captured_at_ms: int
    received_at_ms: int
    following: Following = field(default=Following())
    landmarks_px: NDArray[np.float32] | None = field(default=None, repr=False)
    clarity: Clarity | None = None
    body: Body | None = None
    body_looked: bool = False

    @property
    def face_present(self) -> bool:
        """The person's face, or several of which it may be one."""
        return self.landmarks_px is not None or self.following.several


@dataclass(frozen=True, slots=True)
class Skills:
    """What the settings allow beyond the measurements that are always made. Chosen once, when the analyzer starts.

    `look_back`: windows that the predictor wants to see, the one that it is about included.
    `pose_hz`: the most looks at the body a second. `emotion` infers emotions of those who consented to that."""

    look_back: int = 1
    pose_hz: float = 2.0
    emotion: See | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The discrete status, as sent or about to be."""

    state: State = "unknown"
    insufficient_reason: InsufficientReason | None = None
    gaze: Gaze | None = None
    head_pose: HeadPose | None = None
    yawning: bool | None = None
    hand_raised: bool | None = None
    emotion: Emotion | None = None


@dataclass(frozen=True, slots=True)
class SessionState:
    """All that the analyzer knows of a session. `clock_ms` runs with the frames' capture times and bridges their jumps.

    Without a `start` (its record is gone from the log) frames are analyzed under the contract's default consent and
    no status is sent, since nobody knows whose it would be. `expression` is None where emotions are not inferred.
    """

    session_id: str
    start: SessionStart | None = None
    ended: bool = False
    last_seq: int = -1
    captured_at_ms: int | None = None
    clock_ms: float = 0.0
    analyzed: int = 0
    skipped: int = 0
    malformed: int = 0
    following: Following = field(default=Following())
    face_px: float | None = None
    clarity: Clarity | None = None
    preview_at_ms: float | None = None
    person: Person = field(default=Person())
    hands: Hands = field(default=Hands())
    expression: Expression | None = None
    attention: Attention = field(default=Attention())
    told: Told | None = None
    about: Told | None = None
    about_since_ms: float = 0.0
    windows: Windows = field(default=Windows())
    past: Past = field(default=Past())

    @property
    def consent(self) -> Consent:
        return self.start.consent if self.start else Consent()


@dataclass(frozen=True, slots=True)
class Step:
    """What a frame leads to. `preview` says that a preview picture is due (if the consent has live view); `concluded`
    is the window that ended with it."""

    metrics: FrameMetrics
    status: StatusChanged | None
    preview: bool
    concluded: Concluded | None = None


@dataclass(frozen=True, slots=True)
class End:
    """What a session's end leads to: the last status, with totals, and the window that was under way."""

    status: StatusChanged | None = None
    concluded: Concluded | None = None
