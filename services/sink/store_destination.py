"""The document store as a destination."""

from collections import defaultdict
from collections.abc import Sequence

from services.runtime.log import Record
from services.runtime.metrics import Metrics
from services.runtime.store import Conflict, Document, Store, StoreUnavailable
from services.runtime.store.collections import RECORDINGS
from services.sink.destination import DestinationDown
from services.sink.documents import TOPICS, Merge, Put, Writes, parse
from services.sink.recordings import merge


class StoreDestination:
    """One bulk upsert per collection and batch; recordings by compare-and-set, one write per recording and batch."""

    name = "store"
    topics = TOPICS

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    def parse(self, record: Record) -> Writes:
        return parse(record)

    async def write(self, items: Sequence[Writes]) -> None:
        puts: defaultdict[str, list[Document]] = defaultdict(list)
        events: defaultdict[str, list[Merge]] = defaultdict(list)
        for each in (write for writes in items for write in writes):
            if isinstance(each, Put):
                puts[each.collection].append(each.document)
            else:
                events[each.event.recording_id].append(each)
        try:
            for collection, documents in puts.items():
                await self._store.upsert_many(collection, documents, newest_by="epoch")
                self._metrics.documents_written.labels(collection).inc(len(documents))
            for recording_id, of_one in events.items():
                if await self._merge(recording_id, of_one):
                    self._metrics.documents_written.labels(RECORDINGS.name).inc()
        except StoreUnavailable as error:
            raise DestinationDown(str(error)) from error

    async def _merge(self, recording_id: str, events: Sequence[Merge]) -> bool:
        """Carry the document on; False when it had all this already."""
        while True:
            before = await self._store.get(RECORDINGS.name, recording_id)
            after = before
            for each in events:
                after = merge(after, each.event, each.epoch)
            if after is None or after is before:
                return False
            if before is None:
                try:
                    await self._store.insert(RECORDINGS.name, after)
                except Conflict:
                    continue
                return True
            changes = {field: value for field, value in after.items() if field != "_id"}
            unchanged = {name: before.get(name) for name in ("kind", "at_ms", "epoch")}
            if await self._store.update(RECORDINGS.name, recording_id, changes, unchanged) is not None:
                return True
