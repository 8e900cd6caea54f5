"""Segments → one file that starts to play at once: remuxed, never encoded again; with a thumbnail and its metadata.

Everything here may be done again after a crash in its middle and gives the same result.
"""

import hashlib
import itertools
import statistics
from fractions import Fraction
from pathlib import Path

import av
import cv2

from services.recorder.disk import Disk
from services.recorder.finished import Finished
from services.recorder.journal import Journal
from services.recorder.manifest import Manifest, Segment
from services.recorder.naming import thumbnail_of

_MS = Fraction(1, 1000)
_THUMBNAIL_WIDTH_PX = 320


class SegmentBroken(OSError):
    """A segment's file is not what the manifest says of it."""


def write_playable(journal: Journal, recordings_dir: Path, disk: Disk) -> Finished:
    """Put the file of all segments so far, and its thumbnail, in their place. Raises `OSError`, `TakenOver`.

    The recording may go on afterwards: a later call replaces the file. `journal` holds at least one segment.
    """
    manifest = journal.manifest
    filename = manifest.header.filename
    temporary = journal.temporary("playable")
    _remux(journal.folder, manifest, temporary)
    with temporary.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size_bytes = temporary.stat().st_size
    thumbnail = journal.temporary("thumbnail")
    middle = manifest.segments[len(manifest.segments) // 2]
    disk.write(thumbnail, _thumbnail(journal.folder / middle.filename))
    journal.publish(thumbnail, recordings_dir / thumbnail_of(filename))
    journal.publish(temporary, recordings_dir / filename)
    frames = manifest.frames
    return Finished(
        filename=filename,
        duration_ms=frames[-1][1] - frames[0][1] + last_frame_ms(frames),
        size_bytes=size_bytes,
        sha256=sha256,
    )


def last_frame_ms(frames: list[tuple[int, int]]) -> int:
    """How long the last frame is shown: as long as the frames before it usually were (100 ms for a single one)."""
    tail = [pts_ms for _, pts_ms in frames[-30:]]
    return round(statistics.median(b - a for a, b in itertools.pairwise(tail))) if len(tail) > 1 else 100


def _remux(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy every packet, at the manifest's time. No packet was reordered, so packet n of a segment is its frame n."""
    frames = manifest.frames
    ends_ms = [pts_ms for _, pts_ms in frames[1:]] + [frames[-1][1] + last_frame_ms(frames)]
    written = 0
    with av.open(
        str(target), "w", format="mp4", options={"movflags": "faststart", "video_track_timescale": "90000"}
    ) as muxer:
        stream = None
        for segment in manifest.segments:
            with _open(folder, segment) as demuxer:
                source = demuxer.streams.video[0]
                stream = stream or muxer.add_stream_from_template(source)
                packets = [packet for packet in demuxer.demux(source) if packet.size]
                if len(packets) != len(segment.frames):
                    raise SegmentBroken(f"{segment.filename}: {len(packets)} frames, wanted {len(segment.frames)}")
                for packet, (_, pts_ms) in zip(packets, segment.frames, strict=True):
                    packet.stream, packet.time_base = stream, _MS
                    packet.pts = packet.dts = pts_ms
                    packet.duration = ends_ms[written] - pts_ms
                    muxer.mux(packet)
                    written += 1


def _open(folder: Path, segment: Segment) -> av.container.InputContainer:
    path = folder / segment.filename
    if path.stat().st_size != segment.size_bytes:
        raise SegmentBroken(f"{segment.filename}: {path.stat().st_size} bytes, wanted {segment.size_bytes}")
    return av.open(str(path))


def _thumbnail(segment: Path) -> bytes:
    """The key frame of a segment as JPEG, at most 320 px wide."""
    with av.open(str(segment)) as demuxer:
        picture = next(demuxer.decode(video=0))
    scale = min(1.0, _THUMBNAIL_WIDTH_PX / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    pixels = cv2.resize(picture.to_ndarray(format="bgr24"), size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
