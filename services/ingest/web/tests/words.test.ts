import { describe, expect, it } from "vitest";
import { cameraProblem, cover } from "../src/capture";
import { partLabel, ROWS } from "../src/measures";
import type { FrameMetrics, Prediction } from "../src/messages";
import { duration, endingWords, errorWords, fileSize, gazeWords, headWords, MISSING, missingWhy, number, percent, reasonWords } from "../src/words";
import { metrics } from "./samples";

const reading = (over: Partial<FrameMetrics> = {}, prediction: Prediction | null = null) => ({
  metrics: metrics(over),
  latencyMs: 41.6,
  counters: { sent: 9, acknowledged: 8, resent: 0, skipped: 1, tooLarge: 0 },
  prediction,
});

const find = (id: string) => ROWS.find((each) => each.id === id);

const row = (id: string, over: Partial<FrameMetrics> = {}, prediction: Prediction | null = null) => {
  const read = reading(over, prediction);
  return [find(id)?.value(read), find(id)?.detail(read)];
};

const WINDOW: Prediction = { session_id: "s-1", window: 3, from_ms: 0, to_ms: 5000, change_score: 0.34, cluster_id: 5 };

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

describe("the hand, the expression, the last five seconds", () => {
  it("say why they are missing", () => {
    expect(row("hand", { hand_raised: true })).toEqual(["raised", "wrist above the shoulder"]);
    expect(row("hand", { hand_raised: null })[0]).toBe(MISSING);
    expect(find("hand")?.missing?.(reading({ hand_raised: null }))).toBe("not looked for yet");
    expect(find("hand")?.missing?.(reading({ hand_raised: null, insufficient_signal: true, insufficient_reason: "dark" }))).toBe("the picture is too dark");
    expect(row("window")[0]).toBe(MISSING);
  });

  it("show no expression where none is read", () => {
    expect(find("expression")?.shown?.(reading())).toBe(false);
    expect(find("expression")?.shown?.(reading({ emotion: null }))).toBe(true);
    const scores = { neutral: 0.2, happy: 0.71, sad: 0.03, angry: 0.04, surprised: 0.02 };
    expect(row("expression", { emotion: "happy", emotion_scores: scores })).toEqual(["smiling", "smiling 71 %, neutral 20 %"]);
  });

  it("speak of moods only where the server does", () => {
    expect(row("window", {}, WINDOW)).toEqual(["still, attentive", "34 % unlike before"]);
    expect(row("window", {}, { ...WINDOW, probe: "LH" })[0]).toBe("calm, at ease");
    expect(row("window", {}, { ...WINDOW, change_score: null })[1]).toBe("nothing to compare with yet");
  });
});

it("says when the face is a photo, and who else is there", () => {
  const quality = { face_px: 118, blur: 182.5, brightness: 131.2, still: true };
  expect(row("picture", { quality })[0]).toBe("does not move");
  expect(row("picture", { face_count: 3 })[1]).toContain("2 more in the picture");
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
