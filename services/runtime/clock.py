"""The only place that reads the time of day."""

import time


def now_ms() -> int:
    """UTC epoch in milliseconds."""
    return time.time_ns() // 1_000_000
