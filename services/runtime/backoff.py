"""How long to wait before asking again somebody who does not answer. Pure."""


def backoff_s(attempt: int, draw: float, *, first_s: float, longest_s: float) -> float:
    """Seconds to wait after the failed `attempt` (0, 1, …): doubled each time, up to `longest_s`, half of it by `draw`.

    `draw` in 0..1 spreads those who failed together.
    """
    ceiling_s = min(longest_s, first_s * 2.0 ** min(attempt, 30))
    return ceiling_s * (0.5 + draw / 2)
