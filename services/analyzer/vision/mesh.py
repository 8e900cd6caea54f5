"""The face mesh behind a small interface, and MediaPipe's behind that."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

LANDMARKS = 478  # 468 of the face, 10 of the irises
# A tracker opens its graph on the first picture; a black one finds no face and leaves nothing to follow.
_BLACK = np.zeros((64, 64, 3), np.uint8)


class FaceMesh(Protocol):
    """Follows one face through the frames of one session. Not for two threads at once."""

    def landmarks(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Landmarks of the face in an (h, w, 3) picture: (478, 3), x and y in shares of width and height, z in
        shares of the width, smaller is nearer. None when there is no face. A read-only picture is not copied."""

    def close(self) -> None: ...


MeshFactory = Callable[[], FaceMesh]


class MediaPipeMesh:
    """MediaPipe 0.10.21's legacy face mesh with irises; its models are in the wheel."""

    _first_face_seen: ClassVar[bool] = False

    def __init__(self) -> None:
        with _opening:  # loading and opening print to stderr from C++
            tracker = _tracker_type()
            with _quiet_stderr():
                self._tracker = tracker(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
                self._tracker.faces(_BLACK)

    def landmarks(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        if MediaPipeMesh._first_face_seen:
            faces = self._tracker.faces(rgb)
        else:  # the first face of the process makes the C++ code print a warning, once
            with _opening, _quiet_stderr():
                faces = self._tracker.faces(rgb)
            MediaPipeMesh._first_face_seen = bool(faces)
        return read_landmarks(faces[0]) if faces else None

    def close(self) -> None:
        self._tracker.close()


def load_mediapipe() -> None:
    """Import MediaPipe (1.6 s) ahead of the first session. Raises ImportError."""
    with _opening:
        _tracker_type()


@cache
def _tracker_type() -> Any:
    """MediaPipe's own `FaceMesh`, run in the calling thread and without its detours in Python.

    `FaceMesh.process` makes a new namedtuple class for each frame (a quarter of a millisecond under the lock of the
    interpreter) and parses what we want as bytes; its graph hands every step to a pool of threads of its own. Measured
    on two cores with two sessions: 553 frames/s as it is, 677 this way, with the same landmarks, and half the threads.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet_stderr():
        from mediapipe.python import packet_creator
        from mediapipe.python._framework_bindings import _packet_getter, image_frame
        from mediapipe.python.solutions import face_mesh

    class Tracker(face_mesh.FaceMesh):  # type: ignore[misc]
        def _initialize_graph_interface(self, *arguments: Any, **named: Any) -> Any:
            graph = super()._initialize_graph_interface(*arguments, **named)
            graph.ClearField("executor")
            graph.executor.add(name="", type="ApplicationThreadExecutor")
            return graph

        def faces(self, rgb: NDArray[np.uint8]) -> list[bytes]:
            """A serialized `NormalizedLandmarkList` per face."""
            self._graph_outputs.clear()
            self._simulated_timestamp += 33333  # as `process` does; the tracker does not look at the step
            picture = packet_creator.create_image(rgb, image_format=image_frame.ImageFormat.SRGB)
            self._graph.add_packet_to_input_stream(stream="image", packet=picture.at(self._simulated_timestamp))
            self._graph.wait_until_idle()
            found = self._graph_outputs.get("multi_face_landmarks")
            if found is None or found.is_empty():
                return []
            faces: list[bytes] = _packet_getter._get_serialized_proto_list(found)  # noqa: SLF001
            return faces

    return Tracker


def read_landmarks(message: bytes) -> NDArray[np.float32]:
    """A serialized `NormalizedLandmarkList` as (n, 3) float32.

    All landmarks have the same 17 bytes layout, which NumPy can view: 7 µs against 200 µs of parsing and a loop over
    attributes. Where the layout is another (a landmark with a visibility, say), the loop serves.
    """
    if len(message) == LANDMARKS * _LAYOUT.itemsize:
        rows = np.frombuffer(message, _LAYOUT)
        if _TAGS == rows[_TAG_NAMES][0].tolist() == rows[_TAG_NAMES][-1].tolist():
            points = np.empty((LANDMARKS, 3), np.float32)
            for axis, name in enumerate("xyz"):
                points[:, axis] = rows[name]
            return points
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    parsed = NormalizedLandmarkList.FromString(message)
    return np.array([(point.x, point.y, point.z) for point in parsed.landmark], np.float32)


# Field 1 of the list, 15 bytes long; in it fields 1 to 3, each a little-endian float32.
_LAYOUT = np.dtype(
    {
        "names": ["list", "length", "tag_x", "x", "tag_y", "y", "tag_z", "z"],
        "formats": ["u1", "u1", "u1", "<f4", "u1", "<f4", "u1", "<f4"],
        "offsets": [0, 1, 2, 3, 7, 8, 12, 13],
        "itemsize": 17,
    }
)
_TAG_NAMES = ["list", "length", "tag_x", "tag_y", "tag_z"]
_TAGS = (0x0A, 15, 0x0D, 0x15, 0x1D)
_opening = threading.Lock()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what arrives on stderr meanwhile and pass on all but the known chatter of MediaPipe's C++ code."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        real = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not any(chatter in line for chatter in _CHATTER)))
            os.close(real)


_CHATTER = (
    b"TensorFlow Lite XNNPACK delegate",
    b"before absl::InitializeLog()",
    b"inference_feedback_manager.cc",
    b"landmark_projection_calculator.cc",
)
