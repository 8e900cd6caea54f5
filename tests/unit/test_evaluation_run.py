"""Which clips at which rates, and what a wrong wish is answered with."""

from pathlib import Path

import pytest

from services.analyzer.evaluation.run import WrongUse, find_clips, parse_rates

TRUTH = '{"events": []}'


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text(TRUTH)
    return path


def test_rates_are_sorted_and_there_once() -> None:
    assert parse_rates("10, 30,7.5,10") == [30, 10, 7.5]


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "abc", "", "10,", "10;5", "1000"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="--fps: "):
        parse_rates(text)


def test_a_folder_is_all_its_clips_with_a_truth(tmp_path: Path) -> None:
    folder(tmp_path, "b.mp4", "b.json", "a.mkv", "a.json", "without.mp4", "notes.json", "notes.txt")
    assert [clip.path.stem for clip in find_clips([tmp_path])] == ["a", "b"]


def test_a_clip_or_its_truth_is_named(tmp_path: Path) -> None:
    folder(tmp_path, "a.mp4", "a.json", "b.mov", "b.json")
    found = find_clips([tmp_path / "b.json", tmp_path / "a.mp4", tmp_path])
    assert [clip.path.name for clip in found] == ["b.mov", "a.mp4"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nothing", "nothing: there is no such file"),
        ("alone.mp4", r"alone\.mp4: no truth beside it; wanted alone\.json"),
        ("truth.json", r"truth\.json: no clip beside it; wanted truth\.mp4"),
        ("empty", "empty: no clip in this folder has a truth file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, named: str, message: str) -> None:
    folder(tmp_path, "alone.mp4", "truth.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WrongUse, match=message):
        find_clips([tmp_path / named])
