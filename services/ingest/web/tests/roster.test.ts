import { describe, expect, it } from "vitest";
import type { State } from "../src/messages";
import { applyMetrics, applyRoster, byAttention, classSample, type Members, shownState, SILENT_AFTER_MS } from "../src/roster";
import { metrics, session } from "./samples";

function roster(...ids: string[]) {
  return { type: "roster" as const, lecture_code: "DEMO", engagement_enabled: true, sessions: ids.map((id) => session(id)) };
}

function members(states: Record<string, State>): Members {
  let all = applyRoster(new Map(), roster(...Object.keys(states)), 0);
  for (const [id, state] of Object.entries(states)) all = applyMetrics(all, metrics({ session_id: id, state }), 0);
  return all;
}

describe("a roster", () => {
  it("brings students and takes away those who ended; what is known of the others stays", () => {
    const before = applyMetrics(applyRoster(new Map(), roster("a", "b"), 0), metrics({ session_id: "b", seq: 5 }), 10);
    const after = applyRoster(before, roster("b", "c"), 20);
    expect([...after.keys()]).toEqual(["b", "c"]);
    expect(after.get("b")).toMatchObject({ metrics: { seq: 5 }, heardAtMs: 10 });
    expect(after.get("c")).toMatchObject({ metrics: null, heardAtMs: null });
  });

  it("leaves out who is not live", () => {
    const said = { ...roster(), sessions: [session("a", { live: false })] };
    expect(applyRoster(new Map(), said, 0).size).toBe(0);
  });
});

describe("metrics", () => {
  it("of a session that is not on the roster, or older than what is known, change nothing", () => {
    const all = members({ a: "engaged" });
    expect(applyMetrics(all, metrics({ session_id: "x" }), 1)).toBe(all);
    expect(applyMetrics(all, metrics({ session_id: "a", seq: 17 }), 1)).toBe(all);
    expect(applyMetrics(all, metrics({ session_id: "a", seq: 18 }), 1).get("a")?.heardAtMs).toBe(1);
  });
});

describe("attention", () => {
  it("sorts who needs a look first, then by name", () => {
    const all = members({ e: "engaged", b: "engaged", u: "unknown", d: "drowsy", a: "absent", x: "distracted" });
    expect(byAttention(all, 0)).toEqual(["d", "a", "x", "u", "b", "e"]);
  });

  it("knows nothing of a student who fell silent", () => {
    const silent = members({ a: "engaged" });
    const member = silent.get("a");
    expect(member && shownState(member, SILENT_AFTER_MS)).toBe("engaged");
    expect(member && shownState(member, SILENT_AFTER_MS + 1)).toBe("unknown");
    expect(classSample(silent, SILENT_AFTER_MS + 1)).toMatchObject({ meanEngagement: null, counts: { unknown: 1, engaged: 0 } });
  });
});

describe("the class", () => {
  it("is counted by state, its mean taken over those who are measurable", () => {
    let all = members({ a: "engaged", b: "engaged", c: "absent" });
    all = applyMetrics(all, metrics({ session_id: "b", seq: 18, engagement: 0.5 }), 0);
    all = applyMetrics(all, metrics({ session_id: "c", seq: 18, engagement: null, state: "absent" }), 0);
    const sample = classSample(all, 0);
    expect(sample.meanEngagement).toBeCloseTo((0.86 + 0.5) / 2);
    expect(sample.counts).toEqual({ engaged: 2, distracted: 0, drowsy: 0, absent: 1, unknown: 0 });
  });

  it("is null, not 0, when nobody is there", () => expect(classSample(new Map(), 0).meanEngagement).toBeNull());
});
