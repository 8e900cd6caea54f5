"""Pictures → one segment: a self-contained fragmented MP4 that starts with a key frame. PyAV stays behind `Encoder`."""

import io
from fractions import Fraction
from typing import Literal, Protocol, cast

import av
from av.video.stream import VideoStream

from services.recorder.picture import JpegDecoder, fit, recording_size

Codec = Literal["h264", "mp4v"]
TIME_BASE = Fraction(1, 1000)  # one tick is one millisecond
_NOMINAL_FPS = 30  # names a level to the decoder; the frames' own times say when they are shown
_LAST_FRAME_MS = 100

# Chosen by measurement (docs/decisions/0004-h264-by-pyav.md): macroblock tree with a short look-ahead on top of
# superfast gives a quarter of mp4v's bytes at 1.3 times its CPU. Without B-frames packets keep the frames' order.
_OPTIONS: dict[Codec, dict[str, str]] = {
    "h264": {"preset": "superfast", "crf": "29", "bf": "0", "x264-params": "mbtree=1:rc-lookahead=5"},
    "mp4v": {"qmin": "3", "qmax": "8", "bf": "0"},
}
_ENCODERS: dict[Codec, str] = {"h264": "libx264", "mp4v": "mpeg4"}


class Encoder(Protocol):
    """Makes one recording's segments. Used by one thread at a time."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None before the first frame."""

    def add(self, jpeg: bytes, pts_ms: int) -> None:
        """Take a frame at a time later than the last. Raises `Undecodable`; the segment is then as it was before."""

    def close_segment(self) -> bytes:
        """The MP4 of all frames since the last call (at least one), the first of them at time 0."""


class PyavEncoder:
    """`Encoder` by libx264 (or FFmpeg's MPEG-4 part 2 for mp4v), one thread, no file."""

    def __init__(self, codec: Codec = "h264", size: tuple[int, int] | None = None) -> None:
        self._codec: Codec = codec
        self._size = size
        self._decoder = JpegDecoder()
        self._segment: _Segment | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        return self._size

    def add(self, jpeg: bytes, pts_ms: int) -> None:
        picture = self._decoder.decode(jpeg)
        width, height = self._size = self._size or recording_size(picture.width, picture.height)
        fitted = fit(picture, width, height)
        if self._segment is None:
            self._segment = _Segment(self._codec, width, height, pts_ms)
        self._segment.add(fitted, pts_ms)

    def close_segment(self) -> bytes:
        segment, self._segment = self._segment, None
        if segment is None:
            raise ValueError("the segment has no frame")
        return segment.close()


class _Segment:
    """An encoder and a muxer that live for one segment, so that it depends on no other."""

    def __init__(self, codec: Codec, width: int, height: int, first_pts_ms: int) -> None:
        self._file = io.BytesIO()
        self._first_pts_ms = first_pts_ms
        self._muxer = av.open(
            self._file,
            "w",
            format="mp4",
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof", "video_track_timescale": "90000"},
        )
        self._stream = cast(VideoStream, self._muxer.add_stream(_ENCODERS[codec], _NOMINAL_FPS, _OPTIONS[codec]))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.time_base = TIME_BASE
        context.thread_count = 1
        context.gop_size = 100_000  # one key frame, the first
        # JFIF: ITU-R BT.601 matrix; the range was narrowed by `fit`.
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 5, 5, 6

    def add(self, picture: av.VideoFrame, pts_ms: int) -> None:
        picture.pts, picture.time_base = pts_ms - self._first_pts_ms, TIME_BASE
        self._muxer.mux(self._stream.encode(picture))

    def close(self) -> bytes:
        packets = self._stream.encode(None)
        if packets:
            packets[-1].duration = _LAST_FRAME_MS
        self._muxer.mux(packets)
        self._muxer.close()
        return self._file.getvalue()
