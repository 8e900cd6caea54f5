"""A wrong setting stops the start with one line that names it and what it wants."""

from pathlib import Path

import pytest

from services.runtime.settings import Settings, WrongSetting, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "eighty", "valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("STALE_AFTER_MS", "-1", "greater than or equal to 100"),
        ("RECORDING_DEFAULT_RESOLUTION", "big", r"source\|"),
        ("RECORDING_DEFAULT_CODEC", "vp9", "'h264', 'avc1' or 'mp4v'"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("SESSION_IDLE_TIMEOUT_S", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WrongSetting, match=rf"^{name}='?{value}'?: .*{wanted}") as wrong:
        load_settings()
    assert "\n" not in str(wrong.value)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "too short")
    with pytest.raises(WrongSetting, match=r"JWT_SECRET: .*32") as wrong:
        load_settings()
    assert "too short" not in str(wrong.value)


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert load_settings(port=9001).port == 9001


def test_recordings_go_to_the_data_directory_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(rapt_data=Path("d")).recordings_dir == Path("d/recordings")
    monkeypatch.setenv("VIDEO_STORAGE_PATH", "v")
    assert load_settings(rapt_data=Path("d")).recordings_dir == Path("v")
