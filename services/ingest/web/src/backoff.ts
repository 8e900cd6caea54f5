const BASE_MS = 500;
const CAP_MS = 15_000;

/**
 * How long to wait before attempt number `attempt` (0 is the first). Doubles up to a cap; `random` (0..1) spreads the
 * clients of a class over half of the time, so that they do not all come back in the same moment.
 */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.5 + random / 2));
}
