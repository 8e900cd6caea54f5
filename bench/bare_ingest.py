"""The baseline of the ingest bench: websockets and aiokafka, and nothing between them.

`python -m bench.bare_ingest PORT BOOTSTRAP_SERVERS`. It answers the first text like Rapt does, sends each message
on to Kafka as it is, and acknowledges it when Kafka has it. No accounts, no checks, no resume.
"""

import asyncio
import json
import sys

import uvloop
from aiokafka import AIOKafkaProducer
from websockets.asyncio.server import ServerConnection, serve


async def main(port: int, bootstrap_servers: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, linger_ms=3, max_batch_size=256 * 1024, enable_idempotence=True, acks="all"
    )
    await producer.start()

    async def stream(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "processing_started_ack"}))
        key = socket.id.bytes
        acknowledged: asyncio.Queue[int] = asyncio.Queue()

        async def acknowledge() -> None:
            while True:
                await socket.send(json.dumps({"type": "ack", "seq": await acknowledged.get()}))

        acknowledging = asyncio.create_task(acknowledge())
        try:
            async for message in socket:
                seq = int.from_bytes(message[1:5], "big")  # type: ignore[arg-type]
                future = await producer.send("frames", value=message, key=key, headers=[("seq", str(seq).encode())])
                future.add_done_callback(lambda _, seq=seq: acknowledged.put_nowait(seq))
        finally:
            acknowledging.cancel()

    async with serve(stream, "127.0.0.1", port, compression=None, max_size=5 << 20):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
