"""MediaPipe's graphs, run in the calling thread and fed one picture at a time.

`mp.solutions` wraps the same graphs in trackers that remember the last face, at 27 MB for each session. The parts
inside them remember nothing: they take a picture and a region. Measured on 320×240: the same landmarks within 0.01 px
at three quarters of the processor time (docs/decisions/0009-no-tracker-per-session.md).
"""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from services.analyzer.domain.faces import Region
from services.analyzer.vision.port import Picture

_BLACK = np.zeros((64, 64, 3), np.uint8)
_STEP_US = 33_333  # graphs want rising time stamps and do not look at the step
_opening = threading.Lock()


def load_mediapipe() -> None:
    """Import MediaPipe (1.6 s) ahead of the first picture. Raises ImportError."""
    with _opening:
        _mediapipe()


class Graph:
    """One graph of MediaPipe's own subgraphs. Not for two threads at once.

    `description` is a `CalculatorGraphConfig` in text form, with an input stream `image` and, if it takes one, `roi`.
    """

    _answered: ClassVar[set[str]] = set()

    def __init__(self, description: str, outputs: tuple[str, ...], image: str = "create_image", **side: Any) -> None:
        with _opening:  # loading and opening print to stderr from C++
            self._mp = _mediapipe()
            config = self._mp.parse(description)
            config.executor.add(name="", type="ApplicationThreadExecutor")  # no pool of threads of its own
            self._picture_packet = getattr(self._mp.packet_creator, image)
            self._description = description
            self._found: dict[str, Any] = {}
            self._now_us = 0
            with _quiet_stderr():
                self._graph = self._mp.CalculatorGraph(graph_config=config)
                for name in outputs:
                    self._graph.observe_output_stream(name, self._found.__setitem__)
                self._graph.start_run({name: self._mp.side_packet(value) for name, value in side.items()})
                self._run(_BLACK, Region(32, 32, 32) if "roi" in description else None, 64, 64)

    def run(self, picture: Picture, region: Region | None = None) -> dict[str, Any]:
        """The packets that came out, by stream; a stream that said nothing is not in it. Valid until the next run."""
        if self._description not in Graph._answered:  # the first answer makes the C++ code print a warning, once
            with _opening, _quiet_stderr():
                found = self._run(picture.rgb, region, picture.width, picture.height)
            if found:
                Graph._answered.add(self._description)
            return found
        return self._run(picture.rgb, region, picture.width, picture.height)

    def _run(self, rgb: NDArray[np.uint8], region: Region | None, width: int, height: int) -> dict[str, Any]:
        self._found.clear()
        self._now_us += _STEP_US
        packet = self._picture_packet(rgb, image_format=self._mp.SRGB)
        self._graph.add_packet_to_input_stream(stream="image", packet=packet.at(self._now_us))
        if region is not None:
            rect = self._mp.NormalizedRect(
                x_center=region.x_px / width,
                y_center=region.y_px / height,
                width=region.side_px / width,
                height=region.side_px / height,
                rotation=region.tilt_rad,
            )
            packet = self._mp.packet_creator.create_proto(rect)
            self._graph.add_packet_to_input_stream(stream="roi", packet=packet.at(self._now_us))
        self._graph.wait_until_idle()
        return {name: packet for name, packet in self._found.items() if not packet.is_empty()}

    def message(self, packet: Any) -> bytes:
        """A packet's protobuf message, serialized."""
        message: bytes = self._mp.packet_getter._get_serialized_proto(packet)  # noqa: SLF001
        return message

    def messages(self, packet: Any) -> list[bytes]:
        """A packet's list of protobuf messages, serialized."""
        messages: list[bytes] = self._mp.packet_getter._get_serialized_proto_list(packet)  # noqa: SLF001
        return messages

    def close(self) -> None:
        self._graph.close()


@cache
def _mediapipe() -> SimpleNamespace:
    """What we use of MediaPipe. The binding below `mp.solutions` is the same in every release that has the models."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _quiet_stderr():
        import mediapipe
        from google.protobuf import text_format
        from mediapipe.framework import calculator_pb2
        from mediapipe.framework.formats import rect_pb2
        from mediapipe.python import packet_creator
        from mediapipe.python._framework_bindings import (
            _packet_getter,
            calculator_graph,
            image_frame,
            resource_util,
        )

        # Where the graphs find their models.
        resource_util.set_resource_dir(os.path.dirname(os.path.dirname(os.path.abspath(mediapipe.__file__))))

    def side_packet(value: bool | int) -> Any:
        return packet_creator.create_bool(value) if isinstance(value, bool) else packet_creator.create_int(value)

    return SimpleNamespace(
        CalculatorGraph=calculator_graph.CalculatorGraph,
        NormalizedRect=rect_pb2.NormalizedRect,
        SRGB=image_frame.ImageFormat.SRGB,
        packet_creator=packet_creator,
        packet_getter=_packet_getter,
        side_packet=side_packet,
        parse=lambda text: text_format.Parse(text, calculator_pb2.CalculatorGraphConfig()),
    )


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
