import { expect, it } from "vitest";
import { backoffMs } from "../src/backoff";

it("doubles up to a quarter of a minute", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
});

it("spreads over the upper half", () => {
  expect(backoffMs(2, 0)).toBe(1000);
  expect(backoffMs(2, 0.5)).toBe(1500);
});
