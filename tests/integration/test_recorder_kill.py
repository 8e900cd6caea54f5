"""A real recorder process, killed with -9 again and again: every acknowledged frame is in the file, once."""

import subprocess
import sys
from pathlib import Path

from services.recorder.verify import recorded_frames
from tests.support.needs import REPOSITORY
from tests.support.recordings import INTERVAL_MS, numbers_in

LAST = 260


def test_every_acknowledged_frame_is_in_the_file_once(tmp_path: Path) -> None:
    acknowledged = -1
    for kill_at in (5, 90, 91, 200):
        acknowledged = run(tmp_path, acknowledged + 1, kill_at)
        assert acknowledged >= kill_at
    assert run(tmp_path, acknowledged + 1, None) == LAST

    recordings = tmp_path / "recordings"
    [file] = recordings.glob("*.mp4")
    everything = list(range(LAST + 1))
    assert numbers_in(file) == everything
    assert recorded_frames(recordings, "r-s-1") == [(seq, seq * INTERVAL_MS) for seq in everything]
    assert list((recordings / "open").iterdir()) == []


def run(data: Path, first: int, kill_at: int | None) -> int:
    """Publish from `first` on; kill at an acknowledged seq, or let it end well. Returns the last acknowledged seq."""
    command = [sys.executable, "-m", "tests.support.recorder_process", str(data), str(first), str(LAST)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        words: list[str] = []
        for line in process.stdout:
            words.append(line.strip())
            if kill_at is not None and words[-1].isdigit() and int(words[-1]) >= kill_at:
                process.kill()
                break
        words += process.stdout.read().split()
        errors = process.stderr.read()
        code = process.wait()
    if kill_at is None:
        assert code == 0, errors
        assert words.pop() == "completed", errors
    return int(words[-1])
