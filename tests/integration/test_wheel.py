"""The wheel holds all that Rapt needs: installed elsewhere, it runs and shows its page."""

import shutil
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.support.needs import REPOSITORY, absent
from tests.support.processes import RaptProcess


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=None) or shutil.which(REPOSITORY / ".uv" / "bin" / "uv")
    if found is None:
        absent("uv", "it builds and installs the wheel; `make` brings it along")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (REPOSITORY / "services/ingest/web/dist/index.html").exists():
        absent("page", "it is not built; `make page` builds it")
    to = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", to], cwd=REPOSITORY, check=True)
    (built,) = to.glob("*.whl")
    return built


def test_the_wheel_holds_the_page_and_no_sources_of_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "services/ingest/web/dist/index.html" in names
    assert "schemas/topics.py" in names
    stray = [name for name in names if "node_modules" in name or name.endswith((".ts", "package.json"))]
    assert stray == []
    assert not [name for name in names if name.startswith(("tests/", "bench/", "deploy/"))]


@pytest.mark.timeout(300)
def test_rapt_runs_from_the_wheel_outside_the_checkout(
    uv: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["uv"]["override-dependencies"]
    (tmp_path / "overrides.txt").write_text("\n".join(overrides))
    elsewhere = tmp_path / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, elsewhere], check=True)
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", elsewhere / "bin" / "python"]
    subprocess.run([*install, "--overrides", tmp_path / "overrides.txt", f"{wheel}[all]"], check=True)
    monkeypatch.chdir(tmp_path)
    rapt = RaptProcess("up", tmp_path / "data", program=elsewhere / "bin" / "rapt")
    rapt.start()
    try:
        with urllib.request.urlopen(rapt.url) as page:  # noqa: S310
            assert "<title>Rapt" in page.read().decode()
    finally:
        assert rapt.terminate() == 0
