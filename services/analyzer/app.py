"""The analyzer's composition root."""

import asyncio
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from schemas.topics import FRAMES
from services.analyzer.domain.state import Skills
from services.analyzer.handlers import FramesHandler
from services.analyzer.perceive import Vision
from services.analyzer.predict import Predictors
from services.analyzer.predictors.onnx import OnnxPredictor
from services.analyzer.predictors.port import WrongModel
from services.analyzer.scheduler import Scheduler
from services.analyzer.turn import Turns
from services.analyzer.vision.body import MediaPipeBody
from services.analyzer.vision.faces import MediaPipeFaces
from services.analyzer.vision.graph import load_mediapipe
from services.analyzer.vision.pool import Pool
from services.analyzer.vision.port import BodyVision, FaceVision
from services.runtime.clock import now_ms
from services.runtime.lag import measure_lag
from services.runtime.lifecycle import StartFailed
from services.runtime.log import EventLog
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings

logger = structlog.get_logger(__name__)

GROUP = "analyzer"
UPKEEP_EVERY_S = 0.5
_LESS_URGENT = 5  # of 19 steps of niceness: a third of an equal share, never none
_BODIES = 2  # 67 MB each; 50 looks a second
MEASURE_LAG_EVERY_S = 5.0
MOST_AT_ONCE = 64  # records of a batch: while one waits for room among those that wait, nothing can be given away


def build_app(
    settings: Settings,
    log: EventLog,
    metrics: Metrics,
    *,
    open_faces: Callable[[], FaceVision] = MediaPipeFaces,
    open_bodies: Callable[[], BodyVision] | None = None,
    clock_ms: Callable[[], int] = now_ms,
    threads: int | None = None,
) -> "Analyzer":
    """`open_faces`, `open_bodies` and `clock_ms` are for tests; `threads` are as many as there are cores. MediaPipe's
    bodies come with MediaPipe's faces.

    Raises `StartFailed` where MediaPipe is not installed, or the user's model cannot serve.
    """
    if open_faces is MediaPipeFaces and importlib.util.find_spec("mediapipe") is None:
        raise StartFailed("the analyzer needs MediaPipe, which is not installed; install rapt[analyzer]")
    threads = threads or len(os.sched_getaffinity(0))
    predictors = _predictors(settings)
    skills = _skills(settings, predictors)
    if open_faces is MediaPipeFaces:
        open_bodies = open_bodies or MediaPipeBody
    bodies = Pool(open_bodies, min(threads, _BODIES)) if open_bodies is not None and settings.pose_hz > 0 else None
    vision = Vision(Pool(open_faces, threads), bodies)

    def load() -> None:
        load_mediapipe()
        vision.open()

    return Analyzer(
        settings,
        log,
        metrics,
        vision,
        skills,
        predictors,
        load if open_faces is MediaPipeFaces else None,
        clock_ms,
        threads,
    )


def _skills(settings: Settings, predictors: Predictors) -> Skills:
    skills = Skills(look_back=predictors.emotional.look_back, pose_hz=settings.pose_hz)
    if settings.emotion_inference == "off":
        return skills
    from services.analyzer.domain import emotion  # nowhere else: where it is off, it is not even imported

    return replace(skills, emotion=emotion.see)


def _predictors(settings: Settings) -> Predictors:
    if settings.predictor_model is None:
        return Predictors()
    if settings.emotion_inference == "off":
        raise StartFailed(
            "PREDICTOR_MODEL needs EMOTION_INFERENCE=on: the quadrants of arousal and valence it predicts are emotions"
        )
    try:
        return Predictors(emotional=OnnxPredictor(settings.predictor_model))
    except WrongModel as error:
        raise StartFailed(f"PREDICTOR_MODEL: {error}") from None


class Analyzer:
    """Consumes `frames` in group `analyzer`; publishes metrics, status, predictions, landmarks, previews and its own
    snapshots."""

    name = "analyzer"

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        metrics: Metrics,
        vision: Vision,
        skills: Skills,
        predictors: Predictors,
        load: Callable[[], None] | None,
        clock_ms: Callable[[], int],
        threads: int,
    ) -> None:
        self._metrics = metrics
        self._vision = vision
        self._load = load
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="analyzer", initializer=_give_way)
        # Twice as many turns as threads: while one turn's results are sent, its thread works on another.
        self._turns_at_once = 2 * threads
        self._scheduler = Scheduler(
            stale_after_ms=settings.stale_after_ms,
            catch_up_ms=int(settings.catch_up_s * 1000),
            workers=self._turns_at_once,
        )
        self._handler = FramesHandler(
            log,
            metrics,
            self._scheduler,
            Turns(vision, skills, clock_ms, predictors),
            self._threads,
            finish=lambda record: self._consumer.finish(record),
            clock_ms=clock_ms,
            drain_timeout_s=settings.graceful_timeout_s / 2,
        )
        self._consumer = log.consumer([FRAMES], self._handler, group=GROUP, max_records=MOST_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load MediaPipe, then join the group: meanwhile the sessions stay with those who have them.

        Raises `StartFailed`."""
        if self._load is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._load)
            except Exception as error:
                logger.exception("MediaPipe cannot be loaded")
                raise StartFailed(f"MediaPipe cannot be loaded: {error}") from error
        self._tasks = [
            asyncio.create_task(self._analyze(), name="analyzer"),
            asyncio.create_task(self._keep_up(), name="analyzer-upkeep"),
            asyncio.create_task(self._measure_lag(), name="analyzer-lag"),
        ]
        try:
            await self._consumer.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Halt the intake, drain within half of the graceful time, snapshot, commit, free the models."""
        self._handler.stopping()
        try:
            await self._consumer.stop()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._handler.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._vision.close()

    async def check(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                raise RuntimeError(f"{task.get_name()} ended: {task.exception()}")
        if not self._tasks:
            raise RuntimeError("not started")
        if self._handler.delivery.failure is not None:
            raise self._handler.delivery.failure

    async def _analyze(self) -> None:
        async with asyncio.TaskGroup() as turns:
            for _ in range(self._turns_at_once):
                turns.create_task(self._handler.take_turns(), name="analyzer-turns")

    async def _keep_up(self) -> None:
        """Waits for nobody: who does not look for a while was asleep (`lease.py`)."""
        while True:
            self._handler.upkeep()
            await asyncio.sleep(UPKEEP_EVERY_S)

    async def _measure_lag(self) -> None:
        while True:
            await measure_lag(self._consumer, GROUP, [FRAMES], self._metrics)
            await asyncio.sleep(MEASURE_LAG_EVERY_S)


def _give_way() -> None:
    """Let analysis be what waits when the cores are busy: what receives, acknowledges and shows frames goes first."""
    if sys.platform == "linux":  # where each thread has its own priority
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _LESS_URGENT)
