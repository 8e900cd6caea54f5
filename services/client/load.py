"""Load for the benches: pictures encoded before, streamed in many sessions at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.sessions import Consent
from services.client.options import StreamOptions
from services.client.pace import Pace
from services.client.stream import StudentClient
from services.client.tally import percentile


@dataclass(frozen=True, slots=True)
class LoadReport:
    """All sessions together. `latencies_ms`: capture to the arrival of the frame's metrics; `ack_latencies_ms`: to its
    acknowledgement; `measured_each`: frames that came back of each session."""

    sessions: int
    sent: int
    acked: int
    measured: int
    skipped_captures: int
    late_captures: int
    measured_each: list[int] = field(repr=False)
    latencies_ms: list[float] = field(repr=False)
    ack_latencies_ms: list[float] = field(repr=False)

    @property
    def p50_ms(self) -> float | None:
        return percentile(self.latencies_ms, 0.5)

    @property
    def p99_ms(self) -> float | None:
        return percentile(self.latencies_ms, 0.99)


async def load(
    url: str,
    *,
    username: str,
    password: str,
    lecture_code: str,
    sessions: int,
    fps: float,
    seconds: float,
    frames: Sequence[bytes],
    size: tuple[int, int] = (320, 240),
    record: bool = False,
    landmarks: bool = False,
    analysis: bool = True,
    warm_up_s: float = 0.0,
    live: asyncio.Event | None = None,
) -> LoadReport:
    """Stream `frames` round and round in `sessions` sessions of one student, then end them.

    Captures of the first `warm_up_s` seconds count in no latency. `live` is set when all sessions stream.
    Raises `ClientError` when one cannot begin or is lost.
    """
    consent = Consent(analysis=analysis, recording=record, live_view=True)
    options = StreamOptions(size=size, fps=fps, record=record, consent=consent, landmarks=landmarks)
    clients = [StudentClient(url, username, password, lecture_code, options) for _ in range(sessions)]
    try:
        for client in clients:
            await client.open()
        if live is not None:
            live.set()
        begun_s = asyncio.get_running_loop().time()
        late = await asyncio.gather(
            *(
                _stream(client, frames, Pace(begun_s + number / fps / sessions, fps), number, seconds, warm_up_s)
                for number, client in enumerate(clients)
            )
        )
        await asyncio.gather(*(client.stop() for client in clients))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    tallies = [client.tally for client in clients]
    return LoadReport(
        sessions=sessions,
        sent=sum(client.window.sent for client in clients),
        acked=sum(len(tally.acked) for tally in tallies),
        measured=sum(tally.metrics_received for tally in tallies),
        skipped_captures=sum(tally.skipped for tally in tallies),
        late_captures=sum(late),
        measured_each=[tally.metrics_received for tally in tallies],
        latencies_ms=[latency for tally in tallies for latency in tally.latencies_ms],
        ack_latencies_ms=[latency for tally in tallies for latency in tally.ack_latencies_ms],
    )


async def _stream(
    client: StudentClient, frames: Sequence[bytes], pace: Pace, shift: int, seconds: float, warm_up_s: float
) -> int:
    """Offer frames at the pace; returns how many captures were too late to be taken."""
    loop = asyncio.get_running_loop()
    number, late, warm = 0, 0, warm_up_s <= 0
    while number < seconds * pace.fps:
        await asyncio.sleep(max(0.0, pace.due_s(number) - loop.time()))
        if not warm and number >= warm_up_s * pace.fps:
            warm = True
            client.tally.latencies_ms.clear()
            client.tally.ack_latencies_ms.clear()
        # Sessions begin at different frames, so that they do not all blink at once.
        client.offer(frames[(number + 17 * shift) % len(frames)])
        following = pace.next(number, loop.time())
        late += following - number - 1
        number = following
    return late
