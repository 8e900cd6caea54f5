import { expect, it } from "vitest";
import { backoffMs } from "../src/backoff";
import { nextTick } from "../src/schedule";

it("doubles up to a quarter of a minute", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
});

it("spreads over the upper half", () => {
  expect(backoffMs(2, 0)).toBe(1000);
  expect(backoffMs(2, 0.5)).toBe(1500);
});

it("keeps the pace when timers are late", () => {
  const ticks: number[] = [];
  let nowMs = 0;
  for (let index = 0; index < 10; index++) {
    nowMs += nextTick(0, 100, nowMs).delayMs + 7; // every timer is 7 ms late
    ticks.push(nowMs);
  }
  expect(ticks).toEqual([107, 207, 307, 407, 507, 607, 707, 807, 907, 1007]);
});

it("leaves out what was missed", () => {
  expect(nextTick(0, 100, 950)).toEqual({ index: 10, delayMs: 50 });
  expect(nextTick(50, 100, 50)).toEqual({ index: 1, delayMs: 100 });
});
