"""Hatch build hook: a wheel holds the built page, so build it where it is not there yet (needs Node 20)."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "page"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before the files are collected; an editable install serves the page from where `make page` puts it."""
        web = Path(self.root) / "services" / "ingest" / "web"
        if version == "editable" or (web / "dist" / "index.html").exists():
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("the page is not built and npm is not here: install Node 20, or run `make page` first")
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=web, check=True)
        subprocess.run([npm, "run", "build"], cwd=web, check=True)
