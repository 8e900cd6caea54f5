import { describe, expect, it } from "vitest";
import { cameraProblem, cover } from "../src/capture";
import { partLabel, ROWS } from "../src/measures";
import type { FrameMetrics } from "../src/messages";
import { duration, endingWords, errorWords, fileSize, gazeWords, headWords, MISSING, missingWhy, number, percent, reasonWords } from "../src/words";
import { metrics } from "./samples";

const row = (id: string, over: Partial<FrameMetrics> = {}) => {
  const found = ROWS.find((each) => each.id === id);
  const reading = {
    metrics: metrics(over),
    latencyMs: 41.6,
    counters: { sent: 9, acknowledged: 8, resent: 0, skipped: 1, tooLarge: 0 },
  };
  return [found?.value(reading), found?.detail(reading)];
};

describe("what is not measured", () => {
  it("is a dash, never 0", () => {
    expect([number(null), number(undefined), number(NaN), percent(null), duration(null), gazeWords(null, "own"), headWords(null, "image")]).toEqual(Array(7).fill(MISSING));
    expect(row("eyes", { eyes_closed: null })[0]).toBe(MISSING);
    expect(row("perclos", { perclos: null })[0]).toBe(MISSING);
    expect(row("perclos", { perclos: 0 })[0]).toBe("0 %");
  });

  it("has a reason in plain words", () => {
    expect(missingWhy(metrics({ insufficient_reason: "no_face" }))).toBe("no face in the picture");
    expect(missingWhy(metrics())).toBe("not measurable right now");
    expect(missingWhy(null)).toBe("nothing measured yet");
    expect(reasonWords("lens_covered" as never)).toBe("lens covered");
  });
});

describe("directions", () => {
  it("are the person's own to the student: image left is their right", () => {
    expect(gazeWords("left", "own")).toBe("to your right");
    expect(headWords("right", "own")).toBe("to your left");
    expect(row("head", { yaw_deg: 12, pitch_deg: -5, roll_deg: -3 })[1]).toBe("12° left, 5° up, tilt 3°");
    expect(row("gaze", { gaze_h: -0.2, gaze_v: 0.1, gaze: "left" })).toEqual(["to your right", "0.20 right, 0.10 up"]);
    expect(row("eyes", { ear_left: 0.1, ear_right: 0.3 })[1]).toBe("opening (EAR) left 0.30, right 0.10");
  });
  it("are the picture's to the instructor", () => expect(gazeWords("left", "image")).toBe("image left"));
});

it("shows values with their units", () => {
  expect(row("latency")).toEqual(["42 ms", "8 pictures received, 1 left out"]);
  expect(row("yawns", { yawning: true })).toEqual(["0", "yawning now"]);
  expect([duration(75), duration(59.6), fileSize(812_334), fileSize(2_400_000), fileSize(12)]).toEqual(["1:15", "1:00", "812 kB", "2.4 MB", "1 kB"]);
  expect(partLabel("head_pose")).toBe("Head pose");
});

it("sorts camera failures by what can be done", () => {
  expect(["NotAllowedError", "NotFoundError", "NotReadableError", "TypeError"].map(cameraProblem)).toEqual(["denied", "none", "in_use", "other"]);
});

it("tells every ending but the wanted one", () => {
  expect(endingWords({ why: "stopped", totals: null })).toBeNull();
  expect(endingWords({ why: "replaced", detail: null })?.title).toContain("another window");
  expect(endingWords({ why: "refused", detail: "too many bad frames" })?.advice).toContain("too many bad frames");
});

it("tells passing errors that matter", () => {
  expect(errorWords("clock_jumped", "x")).toBeNull();
  expect(errorWords("unavailable", "x")?.title).toBe("The service is slow");
  expect(errorWords("not_a_jpeg", "no JPEG")?.advice).toBe("no JPEG.");
});

it("cuts a picture to shape without stretching", () => {
  expect(cover(1280, 720, 320, 240)).toEqual([160, 0, 960, 720]);
  expect(cover(640, 480, 320, 240)).toEqual([0, 0, 640, 480]);
});
