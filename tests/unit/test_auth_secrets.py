"""The secrets that an embedded start makes for itself."""

import concurrent.futures
from pathlib import Path

import pytest

from services.runtime.lifecycle import StartFailed
from services.runtime.secrets import Secrets, kept
from services.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JWT_SECRET", raising=False)
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = Secrets.load(tmp_path, load_settings())
    assert len(first.jwt_secret) >= 32
    assert len(first.demo_password) >= 12
    assert first.demo_password_is_new
    again = Secrets.load(tmp_path, load_settings())
    assert (again.jwt_secret, again.demo_password) == (first.jwt_secret, first.demo_password)
    assert not again.demo_password_is_new


def test_two_data_directories_have_nothing_in_common(tmp_path: Path) -> None:
    one, other = (Secrets.load(tmp_path / name, load_settings()) for name in "ab")
    assert one.jwt_secret != other.jwt_secret
    assert one.demo_password != other.demo_password


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    Secrets.load(tmp_path, load_settings())
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "jwt-secret": 0o600,
        "demo-password": 0o600,
    }


def test_the_environment_wins_and_writes_nothing(tmp_path: Path) -> None:
    settings = load_settings(jwt_secret="x" * 32, demo_password="from outside")
    assert Secrets.load(tmp_path, settings) == Secrets("x" * 32, "from outside", False)
    assert list(tmp_path.iterdir()) == []


def test_a_repr_shows_no_secret(tmp_path: Path) -> None:
    loaded = Secrets.load(tmp_path, load_settings())
    assert loaded.jwt_secret not in repr(loaded)
    assert loaded.demo_password not in repr(loaded)


def test_starts_at_the_same_time_agree(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: kept(tmp_path / "secret", f"proposal {n}"), range(8)))
    assert len({text for text, _ in results}) == 1
    assert sum(made for _, made in results) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailed, match=r"cannot keep a secret in .*jwt-secret: (File exists|Not a directory)"):
        Secrets.load(tmp_path / "file", load_settings())


@pytest.mark.parametrize(("content", "reason"), [(b"", "is empty; delete it"), (b"\xff\xfe", "it is not text")])
def test_a_damaged_file(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "jwt-secret").write_bytes(content)
    with pytest.raises(StartFailed, match=reason):
        Secrets.load(tmp_path, load_settings())
