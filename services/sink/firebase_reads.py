"""What Firebase has: read where it is not known."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog

from services.sink.firebase_attendance import AttendeeKey, Json, Leaves, encoded, leaves_of, lecture_path
from services.sink.firebase_client import FirebaseClient
from services.sink.firebase_pending import Pending

logger = structlog.get_logger(__name__)

MOST_READ_SINGLY = 4  # students of a lecture; more are read with all their lecture
MISSING_FOR_S = 60.0  # then a lecture that was not there is looked for again


class Reads:
    """Every call may raise `FirebaseDown`."""

    def __init__(self, client: FirebaseClient, pending: Pending) -> None:
        self._client = client
        self._pending = pending
        self._lectures: dict[str, float | None] = {}  # when one was last not there; None where it is

    def forget(self) -> None:
        """Others may have written meanwhile."""
        self._pending.forget()
        self._lectures.clear()

    async def found(self, keys: Sequence[AttendeeKey]) -> Mapping[AttendeeKey, Leaves]:
        """Of these students. One that was known and is forgotten meanwhile is left to the next time."""
        unknown: defaultdict[str, list[AttendeeKey]] = defaultdict(list)
        for key in keys:
            if self._pending.known(key) is None:
                unknown[key.lecture_code].append(key)
        found: dict[AttendeeKey, Leaves] = {}
        for lecture_code, students in unknown.items():
            if len(students) <= MOST_READ_SINGLY:
                for key in students:
                    found[key] = leaves_of(await self._client.read(key.path))
            else:
                nodes = _children(await self._client.read(f"{lecture_path(lecture_code)}/attendens"))
                found |= {key: leaves_of(nodes.get(encoded(key.student_id))) for key in students}
        for key in keys:
            known = self._pending.known(key)
            if key not in found and known is not None:
                found[key] = known
        return found

    async def exists(self, lecture_code: str) -> bool:
        """Whether Firebase has anything at the lecture's path."""
        now_s = asyncio.get_running_loop().time()
        looked_at_s = self._lectures.get(lecture_code, -MISSING_FOR_S)
        if looked_at_s is None or (lecture_code in self._lectures and now_s - looked_at_s < MISSING_FOR_S):
            return looked_at_s is None
        there = await self._client.read(lecture_path(lecture_code), shallow=True) is not None
        if not there and lecture_code not in self._lectures:
            logger.warning("Firebase does not have this lecture: it is left out", lecture_code=lecture_code)
        self._lectures[lecture_code] = None if there else now_s
        return there


def _children(node: Json) -> Mapping[str, Json]:
    """By key; Firebase answers a list where the keys are mostly 0, 1, 2, …"""
    if isinstance(node, list):
        return {str(number): each for number, each in enumerate(node)}
    return node if isinstance(node, dict) else {}
