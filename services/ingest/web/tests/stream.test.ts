import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { StartVideoSession } from "../src/messages";
import { type Socket, Stream, type StreamListener } from "../src/stream";

class FakeSocket implements Socket {
  binaryType = "";
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  sent: (string | ArrayBuffer | Uint8Array)[] = [];
  closed = false;
  send(data: string | ArrayBuffer | Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }
}

const sockets: FakeSocket[] = [];
const told: string[] = [];
const listener: StreamListener = {
  message: (message) => told.push(message.type),
  landmarks: (landmarks) => told.push(`landmarks ${landmarks.seq}`),
  phase: (phase) => told.push(phase),
  retrying: () => told.push("retrying"),
  finished: (ending) => told.push(`finished ${ending.why}`),
  endByApi: () => told.push("end by api"),
};

function stream(): Stream {
  const made = new Stream({ type: "start_video_session" } as StartVideoSession, listener, () => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  });
  made.start();
  return made;
}

const last = () => sockets.at(-1)!;

function goLive(): void {
  last().onopen?.({} as Event);
  last().says({ type: "processing_started_ack", sessionId: "s", credit: 2, maxFrameBytes: 99, targetFps: 10, resumeFromSeq: 0 });
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets.length = told.length = 0;
});
afterEach(() => vi.useRealTimers());

it("speaks the protocol over its socket", () => {
  const made = stream();
  goLive();
  made.captured(new Uint8Array([0xff, 0xd8]), 5);
  expect(last().binaryType).toBe("arraybuffer");
  expect(last().sent[0]).toBe('{"type":"start_video_session"}');
  expect([...(last().sent[1] as Uint8Array)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xd8]);
  expect(told).toEqual(["connecting", "starting", "live", "processing_started_ack"]);
});

it("opens another socket after a wait, and at once when asked", () => {
  const made = stream();
  goLive();
  last().onclose?.({ code: 1006, reason: "" } as CloseEvent);
  expect(told.slice(-2)).toEqual(["waiting", "retrying"]);
  vi.advanceTimersByTime(1000);
  expect(sockets).toHaveLength(2);
  last().onclose?.({ code: 1006, reason: "" } as CloseEvent);
  made.retryNow();
  expect(sockets).toHaveLength(3);
  vi.advanceTimersByTime(5000); // the timer of the wait that was cut short opens no further one
  expect(sockets).toHaveLength(3);
});

it("does not listen to a socket that it let go", () => {
  const made = stream();
  goLive();
  const old = last();
  made.leave();
  expect(old.closed).toBe(true);
  told.length = 0;
  old.says({ type: "ack", seq: 0, credit: 1 });
  old.onclose?.({ code: 1006, reason: "" } as CloseEvent);
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual([]);
  expect(sockets).toHaveLength(1);
});

it("finishes once, without timers left", () => {
  const made = stream();
  goLive();
  made.stop();
  last().says({ type: "processing_ended_ack", frames: 0, analyzed: 0, skipped: 0, durationMs: 0, recordingId: null });
  last().onclose?.({ code: 1000, reason: "" } as CloseEvent);
  expect(told.slice(-3)).toEqual(["ended", "processing_ended_ack", "finished stopped"]);
  expect(vi.getTimerCount()).toBe(0);
});
