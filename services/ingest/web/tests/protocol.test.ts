import { describe, expect, it } from "vitest";
import { CLOSE, type ProcessingStartedAck, type ServerMessage, type StartVideoSession } from "../src/messages";
import { type Action, SILENCE_MS, StreamProtocol } from "../src/protocol";

const START: StartVideoSession = {
  type: "start_video_session",
  studentId: "student",
  lectureCode: "DEMO",
  frameWidth: 320,
  frameHeight: 240,
  fps: 10,
  record: false,
  landmarks: true,
  consent: { version: "1", analysis: true, recording: false, emotion: false, live_view: false },
};
const JPEG = new Uint8Array([0xff, 0xd8, 0xff]);

const started = (over: Partial<ProcessingStartedAck> = {}): ProcessingStartedAck => ({
  type: "processing_started_ack",
  sessionId: "s-1",
  credit: 3,
  maxFrameBytes: 1000,
  targetFps: 10,
  resumeFromSeq: 0,
  ...over,
});
const ack = (seq: number, credit = 3): ServerMessage => ({ type: "ack", seq, credit });
const sent = (actions: Action[]) => actions.flatMap((each) => (each.do === "send_frame" ? [each.frame.seq] : []));
const texts = (actions: Action[]) => actions.flatMap((each) => (each.do === "send_text" ? [JSON.parse(each.text).type] : []));
const done = (actions: Action[]) => actions.map((each) => each.do);
const ending = (actions: Action[]) => actions.flatMap((each) => (each.do === "finish" ? [each.ending] : []))[0];

function live(over: Partial<ProcessingStartedAck> = {}): StreamProtocol {
  const protocol = new StreamProtocol(START, () => 1);
  protocol.connect(0);
  protocol.opened(0);
  protocol.received(started(over), 0);
  return protocol;
}

function reconnect(protocol: StreamProtocol, over: Partial<ProcessingStartedAck> = {}): Action[] {
  protocol.retry(0);
  protocol.opened(0);
  return protocol.received(started(over), 0);
}

describe("starting", () => {
  it("opens, says what it wants, and takes pictures only after the answer", () => {
    const protocol = new StreamProtocol(START);
    expect(done(protocol.connect(0))).toEqual(["open"]);
    expect(texts(protocol.opened(0))).toEqual(["start_video_session"]);
    expect(protocol.captured(JPEG, 1)).toEqual([]);
    expect(protocol.counters.skipped).toBe(1);
    protocol.received(started(), 0);
    expect(sent(protocol.captured(JPEG, 2))).toEqual([0]);
  });

  it("numbers from where the server says, as after a reload", () => {
    expect(sent(live({ resumeFromSeq: 4711 }).captured(JPEG, 1))).toEqual([4711]);
  });
});

describe("credit", () => {
  it("has at most `credit` frames under way; what comes beyond is skipped, counted, and takes no number", () => {
    const protocol = live();
    expect([1, 2, 3, 4, 5].flatMap((at) => sent(protocol.captured(JPEG, at)))).toEqual([0, 1, 2]);
    expect(protocol.counters).toMatchObject({ sent: 3, skipped: 2 });
    protocol.received(ack(1), 0);
    expect(protocol.inFlight).toBe(1);
    expect([6, 7, 8].flatMap((at) => sent(protocol.captured(JPEG, at)))).toEqual([3, 4]);
  });

  it("acknowledges all before a number, once", () => {
    const protocol = live();
    [1, 2, 3].forEach((at) => protocol.captured(JPEG, at));
    protocol.received(ack(1), 0);
    protocol.received(ack(1), 0);
    protocol.received(ack(2), 0);
    expect(protocol.counters.acknowledged).toBe(3);
    expect(protocol.inFlight).toBe(0);
  });

  it("follows the credit that an ack brings", () => {
    const protocol = live();
    protocol.captured(JPEG, 1);
    protocol.received(ack(0, 1), 0);
    expect([2, 3].flatMap((at) => sent(protocol.captured(JPEG, at)))).toEqual([1]);
  });

  it("leaves out what the server would refuse for its size", () => {
    const protocol = live({ maxFrameBytes: 10 });
    expect(protocol.captured(new Uint8Array(11), 1)).toEqual([]);
    expect(protocol.counters.tooLarge).toBe(1);
    expect(sent(protocol.captured(new Uint8Array(10), 2))).toEqual([0]);
  });
});

describe("a lost connection", () => {
  it("is tried again, and what was not acknowledged goes first, with its own numbers and times", () => {
    const protocol = live();
    [11, 12, 13].forEach((at) => protocol.captured(JPEG, at));
    protocol.received(ack(0), 0);
    expect(done(protocol.closed(1006, ""))).toEqual(["retry"]);
    const actions = reconnect(protocol, { resumeFromSeq: 1025 });
    expect(sent(actions)).toEqual([1, 2]);
    expect(actions.flatMap((each) => (each.do === "send_frame" ? [each.frame.capturedAtMs] : []))).toEqual([12, 13]);
    expect(protocol.counters).toMatchObject({ sent: 3, resent: 2 });
    expect(sent(protocol.captured(JPEG, 14))).toEqual([1025]);
  });

  it("sends again even below the number that the server resumes from: it may only have reserved it", () => {
    const protocol = live();
    [1, 2].forEach((at) => protocol.captured(JPEG, at));
    protocol.closed(1006, "");
    expect(sent(reconnect(protocol, { resumeFromSeq: 2 }))).toEqual([0, 1]);
    expect(sent(protocol.captured(JPEG, 3))).toEqual([2]);
  });

  it("never goes back in its numbers when the server knows less", () => {
    const protocol = live();
    [1, 2].forEach((at) => protocol.captured(JPEG, at));
    protocol.closed(1006, "");
    reconnect(protocol, { resumeFromSeq: 0 });
    expect(sent(protocol.captured(JPEG, 3))).toEqual([2]);
  });

  it("sends the kept ones within the new credit, the rest as acks come", () => {
    const protocol = live();
    [1, 2, 3].forEach((at) => protocol.captured(JPEG, at));
    protocol.closed(1006, "");
    expect(sent(reconnect(protocol, { credit: 1 }))).toEqual([0]);
    expect(sent(protocol.received(ack(0, 1), 0))).toEqual([1]);
    expect(sent(protocol.received(ack(1, 2), 0))).toEqual([2]);
  });

  it("skips and counts what is captured meanwhile", () => {
    const protocol = live();
    protocol.closed(1006, "");
    protocol.captured(JPEG, 1);
    expect(protocol.counters.skipped).toBe(1);
    expect(protocol.inFlight).toBe(0);
  });

  it("waits longer each time, until a frame is acknowledged again", () => {
    const protocol = live();
    const wait = () => protocol.closed(1006, "").flatMap((each) => (each.do === "retry" ? [each.afterMs] : []))[0] ?? 0;
    const waits = [wait()];
    for (let time = 0; time < 3; time++) {
      reconnect(protocol); // accepted, and lost again before anything was acknowledged
      waits.push(wait());
    }
    expect(waits).toEqual([500, 1000, 2000, 4000]);
    reconnect(protocol);
    protocol.captured(JPEG, 1);
    protocol.received(ack(0), 0);
    expect(wait()).toBe(500);
  });

  it("is noticed without a word when frames stay without an answer", () => {
    const protocol = live();
    expect(protocol.tick(SILENCE_MS * 2)).toEqual([]); // nothing is under way, so nothing is missing
    protocol.received(ack(0), SILENCE_MS * 2);
    protocol.captured(JPEG, 1);
    expect(protocol.tick(SILENCE_MS * 3 - 1)).toEqual([]);
    expect(done(protocol.tick(SILENCE_MS * 3))).toEqual(["close", "retry"]);
  });

  it("is noticed when no connection comes about", () => {
    const protocol = new StreamProtocol(START);
    protocol.connect(0);
    expect(done(protocol.tick(SILENCE_MS))).toEqual(["close", "retry"]);
  });

  it.each([CLOSE.normal, CLOSE.goingAway, 1006, 1011, 1012, 1013])("comes back after close code %i", (code) => {
    expect(done(live().closed(code, ""))).toEqual(["retry"]);
  });
});

describe("an end", () => {
  it.each([
    [CLOSE.token, "token"],
    [CLOSE.othersSession, "forbidden"],
    [CLOSE.unknownSession, "unknown_session"],
    [CLOSE.replaced, "replaced"],
    [CLOSE.ended, "ended"],
    [CLOSE.policy, "refused"],
  ])("close code %i is final: %s", (code, why) => {
    const protocol = live();
    expect(ending(protocol.closed(code, "why"))).toEqual({ why, detail: "why" });
    expect(protocol.phase).toBe("ended");
    expect(protocol.retry(0)).toEqual([]);
    expect(protocol.captured(JPEG, 1)).toEqual([]);
  });

  it("is explained by the fatal error before it", () => {
    const protocol = live();
    protocol.received({ type: "processing_error", code: "too_many_errors", error: "too many bad frames", fatal: true }, 0);
    expect(ending(protocol.closed(CLOSE.policy, ""))).toEqual({ why: "refused", detail: "too many bad frames" });
  });

  it("comes at once when the start is refused, and later when the server only lacks something", () => {
    const starting = () => {
      const protocol = new StreamProtocol(START, () => 1);
      protocol.connect(0);
      protocol.opened(0);
      return protocol;
    };
    const error = (code: string): ServerMessage => ({ type: "processing_error", code, error: "no", fatal: false });
    expect(done(starting().received(error("unavailable"), 0))).toEqual(["deliver", "close", "retry"]);
    expect(ending(starting().received(error("bad_message"), 0))).toEqual({ why: "refused", detail: "no" });
  });

  it("does not follow from a passing error", () => {
    const protocol = live();
    expect(done(protocol.received({ type: "processing_error", code: "unavailable", error: "slow", fatal: false }, 0))).toEqual(["deliver"]);
    expect(sent(protocol.captured(JPEG, 1))).toEqual([0]);
  });
});

describe("stopping", () => {
  const totals: ServerMessage = {
    type: "processing_ended_ack",
    frames: 3,
    analyzed: 3,
    skipped: 0,
    durationMs: 300,
    recordingId: "r-1",
  };

  it("says so and waits for the totals", () => {
    const protocol = live();
    expect(texts(protocol.stop(0))).toEqual(["stop_video_session"]);
    expect(protocol.captured(JPEG, 1)).toEqual([]);
    const actions = protocol.received(totals, 0);
    expect(done(actions)).toEqual(["deliver", "close", "finish"]);
    expect(ending(actions)).toEqual({ why: "stopped", totals });
  });

  it("sends what it kept first", () => {
    const protocol = live();
    [1, 2, 3].forEach((at) => protocol.captured(JPEG, at));
    protocol.closed(1006, "");
    reconnect(protocol, { credit: 2 });
    expect(texts(protocol.stop(0))).toEqual([]);
    const actions = protocol.received(ack(1, 2), 0);
    expect(sent(actions)).toEqual([2]);
    expect(texts(actions)).toEqual(["stop_video_session"]);
    expect(texts(protocol.received(ack(2), 0))).toEqual([]);
  });

  it.each(["waiting", "connecting", "starting"])("while %s, the REST API ends the session", (phase) => {
    const protocol = live();
    protocol.closed(1006, "");
    if (phase !== "waiting") protocol.retry(0);
    if (phase === "starting") protocol.opened(0);
    expect(protocol.phase).toBe(phase);
    expect(done(protocol.stop(0))).toEqual(["close", "end_by_api", "finish"]);
  });

  it("is finished by the REST API when the connection is lost or silent on the way", () => {
    const lost = live();
    lost.stop(0);
    expect(done(lost.closed(1006, ""))).toEqual(["end_by_api", "finish"]);
    const silent = live();
    silent.stop(0);
    expect(done(silent.tick(SILENCE_MS))).toEqual(["close", "end_by_api", "finish"]);
  });

  it("takes “ended” for an answer", () => {
    const protocol = live();
    protocol.stop(0);
    expect(ending(protocol.closed(CLOSE.ended, ""))).toEqual({ why: "stopped", totals: null });
  });
});

describe("whatever happens", () => {
  /** A small generator with a fixed seed (mulberry32), so that a failure can be seen again. */
  function chance(seed: number): () => number {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  it.each(Array.from({ length: 40 }, (_, seed) => seed))("numbers rise, credit holds, nothing unacknowledged is lost (%i)", (seed) => {
    const random = chance(seed);
    const protocol = live({ credit: 4 });
    let credit = 4;
    let newest = -1; // on this connection
    let acked = -1;
    const everSent = new Set<number>();
    const check = (actions: Action[]) => {
      for (const seq of sent(actions)) {
        expect(seq).toBeGreaterThan(newest);
        expect(seq).toBeGreaterThan(acked);
        newest = seq;
        everSent.add(seq);
      }
      expect([...everSent].filter((seq) => seq > acked && seq <= newest).length).toBeLessThanOrEqual(credit);
    };
    for (let step = 0; step < 300; step++) {
      const dice = random();
      if (dice < 0.6) check(protocol.captured(JPEG, step));
      else if (dice < 0.9) {
        const waiting = [...everSent].filter((seq) => seq > acked && seq <= newest);
        if (waiting.length === 0) continue;
        acked = waiting[Math.floor(random() * waiting.length)] ?? acked;
        check(protocol.received(ack(acked, credit), 0));
      } else {
        const unacknowledged = [...everSent].filter((seq) => seq > acked).sort((a, b) => a - b);
        protocol.closed(1006, "");
        newest = acked;
        credit = 1 + Math.floor(random() * 6);
        const actions = reconnect(protocol, { credit, resumeFromSeq: Math.floor(random() * 2000) });
        expect(sent(actions)).toEqual(unacknowledged.slice(0, credit));
        check(actions);
      }
    }
  });
});
