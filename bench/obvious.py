"""The loop that anyone would write first: FaceMesh with irises, Pose and an MP4 writer on every frame, one thread."""

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mediapipe.python.solutions.face_mesh import FaceMesh
from mediapipe.python.solutions.pose import Pose

from bench.frames import FPS

WARM_UP = 20


def cpu_ms_per_frame(jpegs: Sequence[bytes], count: int, folder: Path) -> float:
    """Processor time of this whole process per frame, in milliseconds."""
    mesh, pose = FaceMesh(max_num_faces=1, refine_landmarks=True), Pose()
    height, width = _decode(jpegs[0]).shape[:2]
    writer = cv2.VideoWriter(str(folder / "obvious.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    began_s = 0.0
    for number in range(WARM_UP + count):
        if number == WARM_UP:
            began_s = time.process_time()
        image = _decode(jpegs[number % len(jpegs)])
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        mesh.process(rgb)
        pose.process(rgb)
        writer.write(image)
    writer.release()
    return (time.process_time() - began_s) * 1000 / count


def _decode(jpeg: bytes) -> cv2.typing.MatLike:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
