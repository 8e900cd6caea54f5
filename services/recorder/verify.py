"""Which frames a recording holds, by its own books and by its file: for the tests and whoever doubts."""

from pathlib import Path

import av

from services.recorder.archive import read_metadata
from services.recorder.journal import read_manifest


def recorded_frames(recordings_dir: Path, recording_id: str) -> list[tuple[int, int]]:
    """(seq, pts_ms) of every frame that is safe, in order; of a recording that has ended or is under way.

    Raises `FileNotFoundError` where there is no such recording.
    """
    metadata = read_metadata(recordings_dir, recording_id)
    if metadata is not None:
        return metadata.frames
    manifest = read_manifest(recordings_dir, recording_id)
    if manifest is None:
        raise FileNotFoundError(f"there is no recording {recording_id} in {recordings_dir}")
    return manifest.frames


def recorded_seqs(recordings_dir: Path, recording_id: str) -> list[int]:
    """The seq of every frame that is safe, in order. Raises `FileNotFoundError`."""
    return [seq for seq, _ in recorded_frames(recordings_dir, recording_id)]


def times_in_file(mp4: Path) -> list[float]:
    """When each frame of an MP4 is shown, in milliseconds from its start; as many as the file has frames."""
    with av.open(str(mp4)) as demuxer:
        stream = demuxer.streams.video[0]
        return [
            float(packet.pts * stream.time_base * 1000)
            for packet in demuxer.demux(stream)
            if packet.size and packet.pts is not None and stream.time_base is not None
        ]


def decoded_frames(mp4: Path) -> int:
    """How many frames a player gets to see."""
    with av.open(str(mp4)) as demuxer:
        return sum(1 for _ in demuxer.decode(video=0))
