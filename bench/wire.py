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


Opened = tuple[str, dict[str, object]]  # a WebSocket address and the message that starts the stream


async def stream_all(opened: Sequence[Opened], frames: Sequence[bytes], count: int, fps: float) -> None:
    """Stream all sessions side by side, their frames spread evenly over time; return when all is acknowledged."""
    together = asyncio.Barrier(len(opened))
    await asyncio.gather(
        *(
            _stream(url, start, frames, count, fps, together, number / fps / len(opened))
            for number, (url, start) in enumerate(opened)
        )
    )


async def _stream(
    url: str,
    start: dict[str, object],
    frames: Sequence[bytes],
    count: int,
    fps: float,
    together: asyncio.Barrier,
    shift_s: float,
) -> None:
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
        await together.wait()
        began_s = time.monotonic() + shift_s
        try:
            for seq, jpeg in zip(range(count), itertools.cycle(frames), strict=False):
                await asyncio.sleep(max(0.0, began_s + seq / fps - time.monotonic()))
                async with moved:
                    await moved.wait_for(lambda seq=seq: seq - acknowledged <= WINDOW)  # type: ignore[misc]
                await socket.send(_PREFIX.pack(1, seq, time.time_ns() // 1_000_000) + jpeg)
            async with moved:
                await moved.wait_for(lambda: acknowledged >= count - 1)
        finally:
            listening.cancel()
