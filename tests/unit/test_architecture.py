"""The shape that the folders promise: dependencies point one way, and a service needs its own extra and no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import REPOSITORY

# Imports the module with the named packages hidden, as on a machine where they are not installed.
IMPORT_WITHOUT = """
import importlib, sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"{{name}} is hidden")
sys.meta_path.insert(0, Hide())
for module in {modules!r}:
    importlib.import_module(module)
"""


def test_dependencies_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("modules", "hidden"),
    [
        (["services.cli", "services.ingest.app"], {"mediapipe", "cv2", "av", "numpy", "httpx"}),
        (["services.cli", "services.sink.app", "services.sink.api"], {"mediapipe", "cv2", "av", "numpy", "httpx"}),
        (["services.recorder.api"], {"mediapipe", "cv2", "av", "numpy"}),
        (["services.recorder.app"], {"mediapipe", "httpx"}),
        (["services.analyzer.app"], {"av", "httpx"}),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, list) else "",
)
def test_a_service_starts_without_the_packages_of_the_others(modules: list[str], hidden: set[str]) -> None:
    code = IMPORT_WITHOUT.format(hidden=hidden, modules=modules)
    imported = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=False
    )
    assert imported.returncode == 0, imported.stderr
