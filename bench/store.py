"""Documents a second into MongoDB, as the sink writes them, beside bare PyMongo on the same server.

The server is the one that tests use, a MongoDB-compatible one in Java that keeps everything in memory. Both ways go in
turn into databases of their own, so that what the server does meanwhile is told to neither.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

from pydantic_core import from_json
from pymongo import AsyncMongoClient, ReplaceOne

from bench.result import Claim
from schemas import examples
from services.runtime.store import Document
from services.runtime.store.collections import METRICS
from services.runtime.store.mongo import MongoStore
from tests.support.mongo import mongo_server, new_database

BATCH = 512  # what the sink takes at a time (services/sink/app.py)
BATCHES = 20
ROUNDS = 5
Write = Callable[[Sequence[Document]], Awaitable[object]]


def run() -> list[Claim]:
    with mongo_server() as server:
        rapt_per_s, bare_per_s = asyncio.run(_measure(server.uri))
    shown = f"{rapt_per_s:,.0f}/s", f"{bare_per_s:,.0f}/s"
    return [
        Claim("metrics documents a second into MongoDB", rapt_per_s, "/s", "at least", 10_000, *shown),
        Claim("the same ÷ bare PyMongo bulk_write", rapt_per_s / bare_per_s, "×", "at least", 0.7, *shown),
    ]


async def _measure(uri: str) -> tuple[float, float]:
    """Documents a second by the median batch, Rapt's and bare, of the round whose ratio is the median."""
    await _round(uri)  # the server's virtual machine compiles what it runs often
    rounds = [await _round(uri) for _ in range(ROUNDS)]
    return sorted(rounds, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]


async def _round(uri: str) -> tuple[float, float]:
    databases = new_database(), new_database()
    store = MongoStore(uri, databases[0])
    await store.start()
    client: AsyncMongoClient[Document] = AsyncMongoClient(uri, w="majority")
    bare_collection = client[databases[1]][METRICS.name]
    await bare_collection.create_index([*METRICS.indexes[0].fields, "_id"])

    async def rapt(documents: Sequence[Document]) -> None:
        await store.upsert_many(METRICS.name, documents, newest_by="epoch")

    async def bare(documents: Sequence[Document]) -> None:
        replaces = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
        await bare_collection.bulk_write(replaces, ordered=False)

    took_s: dict[Write, list[float]] = {rapt: [], bare: []}
    for number in range(BATCHES):
        documents = _documents(number)
        for write in (rapt, bare) if number % 2 else (bare, rapt):
            began_s = time.perf_counter()
            await write(documents)
            took_s[write].append(time.perf_counter() - began_s)
    assert await store.count(METRICS.name) == await bare_collection.count_documents({}) == BATCH * BATCHES
    await store.close()
    for database in databases:
        await client.drop_database(database)  # it is all in the server's memory
    await client.close()
    rapt_per_s, bare_per_s = (BATCH / statistics.median(took_s[write]) for write in (rapt, bare))
    return rapt_per_s, bare_per_s


def _documents(batch: int) -> list[Document]:
    fields = from_json(examples.METRICS.encode())
    seqs = range(batch * BATCH, (batch + 1) * BATCH)
    return [{"_id": f"s-7f3a:{seq}", **fields, "seq": seq, "epoch": 3} for seq in seqs]
