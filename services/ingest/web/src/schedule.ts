/** When to take the next picture. The grid is fixed by the start, so that late timers do not add up to a drift. */
export interface Tick {
  /** Number of the tick that comes next. Ticks that were missed are left out, not made up for. */
  index: number;
  delayMs: number;
}

/** `after` is the tick before, −1 at first: a timer that fires a little early must not give the same tick again. */
export function nextTick(startedAtMs: number, intervalMs: number, nowMs: number, after: number): Tick {
  const index = Math.max(after, Math.floor((nowMs - startedAtMs) / intervalMs)) + 1;
  return { index, delayMs: Math.max(0, startedAtMs + index * intervalMs - nowMs) };
}
