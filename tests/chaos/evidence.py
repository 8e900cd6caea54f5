"""Looking into the recordings, the store and Firebase when all is over."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from services.recorder.verify import recorded_seqs, times_in_file
from services.runtime.settings import Settings
from services.runtime.store.collections import METRICS, PREDICTIONS, RECORDINGS, SESSIONS, STATUS
from tests.chaos.crowd import LECTURE, Student
from tests.chaos.verdict import Document, Evidence

LOOK_EVERY_S = 1.0
_SHOWN = {
    "check_in": "check_in_time",
    "check_out": "check_out_time",
    "session": "status/session_id",
    "state": "status/state",
    "video": "lecture_video_path",
}


class Witness:
    """`async with`; `settled` first, then `of` each student. Reads MongoDB by itself, not through what is tested."""

    def __init__(self, settings: Settings) -> None:
        self._firebase_url = f"http://{settings.firebase_database_emulator_host}"
        self._recordings = settings.recordings_dir
        assert settings.mongo_uri is not None
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(settings.mongo_uri.get_secret_value())
        self._database = self._client[settings.db_name]

    async def __aenter__(self) -> "Witness":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def settled(self, students: Sequence[Student], within_s: float) -> bool:
        """Wait until every session has its recording and a document for each frame, and Firebase all of it; False when
        the time is over."""
        waiting = list(students)
        try:
            async with asyncio.timeout(within_s):
                while waiting:
                    waiting = [student for student in waiting if not await self._is_settled(student)]
                    if waiting:
                        await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return False
        return True

    async def of(self, student: Student) -> Evidence:
        session_id = student.client.session_id
        recordings = await self._all(RECORDINGS.name, session_id, "started_at_ms")
        metrics = await self._all(METRICS.name, session_id, "captured_at_ms")
        windows = await self._all(PREDICTIONS.name, session_id, "window")
        in_files, shown = await asyncio.to_thread(self._read_files, recordings)
        statuses = await self._all(STATUS.name, session_id, "seq")
        firebase, told = await self._attendance(student)
        totals = [each["totals"] for each in statuses if each["totals"] is not None]
        return Evidence(
            student=student.name,
            acknowledged=student.acknowledged,
            drawn=student.script.truth(student.taken),
            recordings=[recording["status"] for recording in recordings],
            in_files=in_files,
            shown=shown,
            documents=[_document(each) for each in metrics],
            windows=[each["window"] for each in windows],
            skipped=totals[-1]["skipped"] if totals else None,
            firebase=firebase,
            told=told,
            failure=student.failure,
        )

    async def _attendance(self, student: Student) -> tuple[dict[str, Any], dict[str, Any]]:
        """What Firebase shows of a student, and what it should show by the store."""
        session_id = student.client.session_id
        session = await self._database[SESSIONS.name].find_one({"_id": session_id}) or {}
        statuses = await self._all(STATUS.name, session_id, "seq")
        recordings = await self._all(RECORDINGS.name, session_id, "started_at_ms")
        node = (await asyncio.to_thread(_attendens, self._firebase_url)).get(student.name, {})
        true = {
            "check_in": session.get("started_at_ms"),
            "check_out": session.get("ended_at_ms"),
            "session": session_id,
            "state": statuses[-1]["state"] if statuses else None,
            "video": next((each["filename"] for each in recordings if each["status"] == "completed"), None),
        }
        return {name: _leaf(node, path) for name, path in _SHOWN.items()}, true

    def _read_files(self, recordings: Sequence[dict[str, Any]]) -> tuple[list[int], int]:
        seqs: list[int] = []
        shown = 0
        for recording in recordings:
            seqs += recorded_seqs(self._recordings, recording["_id"])
            if recording.get("filename"):
                shown += len(times_in_file(Path(self._recordings, recording["filename"])))
        return seqs, shown

    async def _is_settled(self, student: Student) -> bool:
        session = {"session_id": student.client.session_id}
        recordings = await self._all(RECORDINGS.name, student.client.session_id, "_id")
        if not recordings or any(each["status"] == "recording" for each in recordings):
            return False
        totals = student.client.tally.totals
        wanted = len(student.client.tally.acked) - (totals.skipped if totals else 0)
        if await self._database[METRICS.name].count_documents(session) < wanted:
            return False
        there, true = await self._attendance(student)
        return there == true

    async def _all(self, collection: str, session_id: str, order: str) -> list[dict[str, Any]]:
        return await self._database[collection].find({"session_id": session_id}).sort(order).to_list()


def _document(metrics: Mapping[str, Any]) -> Document:
    return Document(
        metrics["seq"],
        metrics["captured_at_ms"],
        not metrics["insufficient_signal"],
        metrics["blink_count"],
        metrics["yawn_count"],
        metrics.get("epoch", 0),
    )


def _attendens(url: str) -> dict[str, Any]:
    """What Firebase shows of the lecture's students."""
    with urllib.request.urlopen(f"{url}/.control/dump", timeout=10) as answer:  # noqa: S310
        students: dict[str, Any] = _leaf(json.load(answer) or {}, f"lectures/{LECTURE}/attendens") or {}
        return students


def _leaf(node: Any, path: str) -> Any:
    for key in path.split("/"):
        node = node.get(key) if isinstance(node, dict) else None
    return node
