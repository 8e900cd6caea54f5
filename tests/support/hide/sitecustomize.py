"""Put on PYTHONPATH, it hides the packages named in `RAPT_HIDE` from a process, as if they were not installed."""

import os
import sys
from importlib.machinery import ModuleSpec


class _Hide:
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, _Hide(set(os.environ["RAPT_HIDE"].split(","))))
