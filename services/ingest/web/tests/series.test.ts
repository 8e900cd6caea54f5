import { expect, it } from "vitest";
import { Series } from "../src/series";

it("keeps the window and the one sample before it, so that the line enters from the edge", () => {
  const series = new Series(1000, 1);
  for (let atMs = 100; atMs <= 2000; atMs += 100) series.push(atMs, atMs);
  const [times, values] = series.table();
  expect(times?.[0]).toBe(0.9);
  expect(values?.at(-1)).toBe(2000);
  expect(times).toHaveLength(12);
});

it("leaves out what comes late", () => {
  const series = new Series(1000, 1);
  series.push(200, 1);
  series.push(100, 2);
  series.push(200, 3);
  expect(series.table()).toEqual([[0.2], [1]]);
});

it("has gaps as null", () => {
  const series = new Series(1000, 2);
  series.push(100, 1, null);
  series.gap(200);
  expect(series.table()).toEqual([[0.1, 0.2], [1, null], [null, null]]);
});
