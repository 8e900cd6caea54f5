"""How long to wait before asking again a destination that is down."""

FIRST_S = 0.1
LONGEST_S = 15.0


def backoff_s(attempt: int, draw: float) -> float:
    """Seconds to wait after the failed `attempt` (1, 2, …). `draw` in 0..1 spreads replicas that failed together."""
    ceiling_s = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 30))
    return ceiling_s * (0.5 + draw / 2)
