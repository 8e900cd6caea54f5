/**
 * One session's stream as a state machine: what happened goes in, what to do comes out. It opens no socket, reads no
 * clock and holds no timer; `stream.ts` does all that.
 *
 * Frames are kept until the server acknowledges them: at most `credit` of them, further captures are skipped and
 * counted. After a lost connection the kept ones are sent again with the numbers they have; new ones go on from there.
 */
import { backoffMs } from "./backoff";
import { CLOSE, type ProcessingEndedAck, type ProcessingError, type ServerMessage, type StartVideoSession } from "./messages";

/** No answer for so long means that the connection is gone, even if nobody said so. */
export const SILENCE_MS = 15_000;
const FIRST_CREDIT = 1;
const CLOSE_TRY_AGAIN = 1013;
/** What a browser says when a connection broke without a word. */
const CLOSE_ABNORMAL = 1006;

export interface Frame {
  seq: number;
  capturedAtMs: number;
  jpeg: Uint8Array;
}

export type Phase = "idle" | "connecting" | "starting" | "live" | "waiting" | "stopping" | "ended";

/** Why a stream is over. `closed` covers what no retry can heal. */
export type Ending =
  | { why: "stopped"; totals: ProcessingEndedAck | null }
  | { why: "token" | "forbidden" | "unknown_session" | "replaced" | "ended" | "refused"; detail: string | null };

export type Action =
  | { do: "open" }
  | { do: "send_text"; text: string }
  | { do: "send_frame"; frame: Frame }
  | { do: "close" }
  | { do: "retry"; afterMs: number }
  | { do: "deliver"; message: ServerMessage }
  | { do: "end_by_api" }
  | { do: "finish"; ending: Ending };

export interface Counters {
  sent: number;
  acknowledged: number;
  resent: number;
  skipped: number;
  tooLarge: number;
}

export class StreamProtocol {
  phase: Phase = "idle";
  readonly counters: Counters = { sent: 0, acknowledged: 0, resent: 0, skipped: 0, tooLarge: 0 };

  private kept: Frame[] = [];
  /** How many of `kept`, from the front, this connection has sent. */
  private sentOfKept = 0;
  private nextSeq: number | null = null;
  private highestSent = -1;
  private credit = FIRST_CREDIT;
  private maxFrameBytes = Infinity;
  private attempt = 0;
  private heardAtMs = 0;
  private stopWanted = false;
  private stopSent = false;
  private fatal: string | null = null;
  private totals: ProcessingEndedAck | null = null;

  constructor(
    private readonly start: StartVideoSession,
    private readonly random: () => number = Math.random,
  ) {}

  get inFlight(): number {
    return this.kept.length;
  }

  connect(nowMs: number): Action[] {
    this.phase = "connecting";
    this.heardAtMs = nowMs;
    this.sentOfKept = 0;
    return [{ do: "open" }];
  }

  opened(nowMs: number): Action[] {
    this.phase = "starting";
    this.heardAtMs = nowMs;
    return [{ do: "send_text", text: JSON.stringify(this.start) }];
  }

  /** A picture was taken. It is sent, or skipped and counted. */
  captured(jpeg: Uint8Array, capturedAtMs: number): Action[] {
    if (this.stopWanted || this.phase === "ended") return [];
    if (jpeg.length > this.maxFrameBytes) {
      this.counters.tooLarge++;
      return [];
    }
    if (this.phase !== "live" || this.nextSeq === null || this.kept.length >= this.credit) {
      this.counters.skipped++;
      return [];
    }
    this.kept.push({ seq: this.nextSeq++, capturedAtMs, jpeg });
    return this.sendKept();
  }

  /** A picture was due and could not be taken: this device is busy. */
  missed(): void {
    if (this.phase === "live") this.counters.skipped++;
  }

  received(message: ServerMessage, nowMs: number): Action[] {
    this.heardAtMs = nowMs;
    const deliver: Action = { do: "deliver", message };
    switch (message.type) {
      case "processing_started_ack":
        this.phase = this.stopWanted ? "stopping" : "live";
        this.credit = Math.max(1, message.credit);
        this.maxFrameBytes = message.maxFrameBytes;
        // All that was not acknowledged goes again under its own numbers, whatever the server resumes from: a server
        // that crashed answers with a number it had only reserved, and does not know what the log misses.
        this.nextSeq = Math.max(this.nextSeq ?? 0, message.resumeFromSeq);
        return [deliver, ...this.sendKept(), ...this.stopNow()];
      case "ack": {
        this.attempt = 0;
        this.credit = Math.max(1, message.credit);
        const before = this.kept.length;
        this.kept = this.kept.filter((frame) => frame.seq > message.seq);
        const freed = before - this.kept.length;
        this.counters.acknowledged += freed;
        this.sentOfKept = Math.max(0, this.sentOfKept - freed);
        return [...this.sendKept(), ...this.stopNow()];
      }
      case "processing_error":
        if (message.fatal) this.fatal = message.error;
        return this.phase === "starting" ? [deliver, ...this.startFailed(message)] : [deliver];
      case "processing_ended_ack":
        this.totals = message;
        return [deliver, { do: "close" }, ...this.finish({ why: "stopped", totals: message })];
      default:
        return [deliver];
    }
  }

  /** The socket closed, or never opened. */
  closed(code: number, reason: string): Action[] {
    if (this.phase === "ended" || this.phase === "idle" || this.phase === "waiting") return [];
    const detail = this.fatal ?? (reason || null);
    switch (code) {
      case CLOSE.token:
        return this.finish({ why: "token", detail });
      case CLOSE.othersSession:
        return this.finish({ why: "forbidden", detail });
      case CLOSE.unknownSession:
        return this.finish({ why: "unknown_session", detail });
      case CLOSE.replaced:
        return this.finish({ why: "replaced", detail });
      case CLOSE.ended:
        return this.finish(this.stopWanted ? { why: "stopped", totals: this.totals } : { why: "ended", detail });
      case CLOSE.policy:
        return this.finish({ why: "refused", detail });
    }
    if (this.stopWanted) return [{ do: "end_by_api" }, ...this.finish({ why: "stopped", totals: this.totals })];
    this.phase = "waiting";
    return [{ do: "retry", afterMs: backoffMs(this.attempt++, this.random()) }];
  }

  /** The wait is over, or the user or the system (back online) wants to try at once. */
  retry(nowMs: number): Action[] {
    return this.phase === "waiting" ? this.connect(nowMs) : [];
  }

  /** Called now and then: finds a connection that died without a word. */
  tick(nowMs: number): Action[] {
    const expecting = this.phase === "connecting" || this.phase === "starting" || this.phase === "stopping";
    const waitsForAck = this.phase === "live" && this.sentOfKept > 0;
    if ((!expecting && !waitsForAck) || nowMs - this.heardAtMs < SILENCE_MS) return [];
    return [{ do: "close" }, ...this.closed(CLOSE_ABNORMAL, "")];
  }

  /** The student ends the session. What is kept is sent first; without a connection the REST API ends it. */
  stop(nowMs: number): Action[] {
    if (this.stopWanted || this.phase === "ended") return [];
    this.stopWanted = true;
    this.heardAtMs = nowMs;
    if (this.phase === "live") {
      this.phase = "stopping";
      return this.stopNow();
    }
    return [{ do: "close" }, { do: "end_by_api" }, ...this.finish({ why: "stopped", totals: null })];
  }

  /** The start itself was not taken: when the server lacks something it is tried again, a refusal stands. */
  private startFailed({ code, error }: ProcessingError): Action[] {
    if (code === "unavailable") return [{ do: "close" }, ...this.closed(CLOSE_TRY_AGAIN, "")];
    return [{ do: "close" }, ...this.finish({ why: "refused", detail: error })];
  }

  private stopNow(): Action[] {
    if (!this.stopWanted || this.stopSent || this.sentOfKept < this.kept.length) return [];
    this.stopSent = true;
    return [{ do: "send_text", text: JSON.stringify({ type: "stop_video_session" }) }];
  }

  private sendKept(): Action[] {
    const actions: Action[] = [];
    while (this.sentOfKept < Math.min(this.kept.length, this.credit)) {
      const frame = this.kept[this.sentOfKept++];
      if (frame === undefined) break;
      if (frame.seq > this.highestSent) {
        this.highestSent = frame.seq;
        this.counters.sent++;
      } else this.counters.resent++;
      actions.push({ do: "send_frame", frame });
    }
    return actions;
  }

  private finish(ending: Ending): Action[] {
    this.phase = "ended";
    this.kept = [];
    return [{ do: "finish", ending }];
  }
}
