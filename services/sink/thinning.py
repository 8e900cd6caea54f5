"""One entry per step of time. Pure."""

from collections.abc import Iterable

from services.runtime.store import Document


class LastPerStep:
    """Keeps the last document of each `step_ms` of `captured_at_ms`; takes them in rising order, in any parts.

    Steps begin at multiples of `step_ms` since the epoch, so that a page asked for again has the same steps.
    """

    def __init__(self, step_ms: int) -> None:
        self._step_ms = step_ms
        self._last: dict[int, Document] = {}

    def add(self, documents: Iterable[Document]) -> None:
        for document in documents:
            self._last[document["captured_at_ms"] // self._step_ms] = document

    def __len__(self) -> int:
        return len(self._last)

    @property
    def entries(self) -> list[Document]:
        return list(self._last.values())
