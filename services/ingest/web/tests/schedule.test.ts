import { expect, it } from "vitest";
import { nextTick } from "../src/schedule";

/** Times of ten ticks when each timer fires so much too late (or too early). */
function ticks(lateMs: number): number[] {
  const times: number[] = [];
  let [nowMs, last] = [0, -1];
  for (let count = 0; count < 10; count++) {
    const { index, delayMs } = nextTick(0, 100, nowMs, last);
    nowMs += Math.max(0, delayMs + lateMs);
    last = index;
    times.push(nowMs);
  }
  return times;
}

it("keeps the pace when timers are late", () => {
  expect(ticks(7)).toEqual([107, 207, 307, 407, 507, 607, 707, 807, 907, 1007]);
});

it("gives no tick twice when timers are early", () => {
  expect(ticks(-1)).toEqual([99, 199, 299, 399, 499, 599, 699, 799, 899, 999]);
});

it("leaves out what was missed", () => {
  expect(nextTick(0, 100, 950, 3)).toEqual({ index: 10, delayMs: 50 });
  expect(nextTick(50, 100, 50, -1)).toEqual({ index: 1, delayMs: 100 });
});
