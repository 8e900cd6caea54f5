"""A sender that costs little: pre-encoded frames over the WebSocket, as many under way as the window allows."""

import asyncio
import itertools
import json
import struct
import time
from collections.abc import Sequence

from websockets.asyncio.client import connect

WINDOW = 32
_PREFIX = struct.Struct(">BIQ")


async def stream(url: str, start: dict[str, object], frames: Sequence[bytes], count: int, fps: float | None) -> None:
    """Send `count` frames and return when all are acknowledged. Without `fps`, as fast as the window lets."""
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send(json.dumps(start))
        acknowledged = -1
        moved = asyncio.Condition()

        async def listen() -> None:
            nonlocal acknowledged
            async for message in socket:
                if isinstance(message, str) and '"ack"' in message[:24]:
                    async with moved:
                        acknowledged = json.loads(message)["seq"]
                        moved.notify_all()

        first = await socket.recv()
        if json.loads(first)["type"] != "processing_started_ack":
            raise RuntimeError(f"the server answered {first!r}")
        listening = asyncio.create_task(listen())
        began = time.monotonic()
        try:
            for seq, jpeg in zip(range(count), itertools.cycle(frames), strict=False):
                if fps is not None:
                    await asyncio.sleep(max(0.0, began + seq / fps - time.monotonic()))
                async with moved:
                    await moved.wait_for(lambda seq=seq: seq - acknowledged <= WINDOW)  # type: ignore[misc]
                await socket.send(_PREFIX.pack(1, seq, time.time_ns() // 1_000_000) + jpeg)
            async with moved:
                await moved.wait_for(lambda: acknowledged >= count - 1)
        finally:
            listening.cancel()
