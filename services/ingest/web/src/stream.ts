/** The socket under the protocol: performs what `StreamProtocol` decides, and tells the page what comes of it. */
import type { ServerMessage, StartVideoSession } from "./messages";
import { type Counters, type Ending, type Action, type Phase, StreamProtocol } from "./protocol";
import { decodeLandmarks, encodeFrame, type Landmarks } from "./wire";

const TICK_MS = 1_000;

export interface StreamListener {
  message(message: ServerMessage): void;
  landmarks(landmarks: Landmarks): void;
  phase(phase: Phase): void;
  retrying(afterMs: number): void;
  finished(ending: Ending): void;
  endByApi(): void;
}

/** What of a WebSocket is used; tests bring their own. */
export interface Socket {
  binaryType: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string | ArrayBuffer | Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

export class Stream {
  private readonly protocol: StreamProtocol;
  private socket: Socket | null = null;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private ticker: ReturnType<typeof setInterval> | undefined;
  private lastPhase: Phase = "idle";

  constructor(
    start: StartVideoSession,
    private readonly listener: StreamListener,
    private readonly openSocket: () => Socket,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.protocol = new StreamProtocol(start);
  }

  get counters(): Counters {
    return this.protocol.counters;
  }

  start(): void {
    this.ticker = setInterval(() => this.perform(this.protocol.tick(this.now())), TICK_MS);
    this.perform(this.protocol.connect(this.now()));
  }

  captured(jpeg: Uint8Array, capturedAtMs: number): void {
    this.perform(this.protocol.captured(jpeg, capturedAtMs));
  }

  missed(): void {
    this.protocol.missed();
  }

  retryNow(): void {
    clearTimeout(this.retryTimer);
    this.perform(this.protocol.retry(this.now()));
  }

  stop(): void {
    this.perform(this.protocol.stop(this.now()));
  }

  /** Lets go of the connection and leaves the session open: another page, or this one later, may go on with it. */
  leave(): void {
    clearTimeout(this.retryTimer);
    clearInterval(this.ticker);
    this.drop();
  }

  private perform(actions: Action[]): void {
    if (this.protocol.phase !== this.lastPhase) {
      this.lastPhase = this.protocol.phase;
      this.listener.phase(this.lastPhase);
    }
    for (const action of actions) this.performOne(action);
  }

  private performOne(action: Action): void {
    switch (action.do) {
      case "open":
        this.open();
        break;
      case "send_text":
        this.socket?.send(action.text);
        break;
      case "send_frame":
        this.socket?.send(encodeFrame(action.frame.seq, action.frame.capturedAtMs, action.frame.jpeg));
        break;
      case "close":
        this.drop();
        break;
      case "retry":
        this.listener.retrying(action.afterMs);
        this.retryTimer = setTimeout(() => this.retryNow(), action.afterMs);
        break;
      case "deliver":
        this.listener.message(action.message);
        break;
      case "end_by_api":
        this.listener.endByApi();
        break;
      case "finish":
        clearInterval(this.ticker);
        clearTimeout(this.retryTimer);
        this.drop();
        this.listener.finished(action.ending);
        break;
    }
  }

  private open(): void {
    this.drop();
    const socket = this.openSocket();
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    // A socket that was let go says nothing any more.
    socket.onopen = () => socket === this.socket && this.perform(this.protocol.opened(this.now()));
    socket.onmessage = (event) => socket === this.socket && this.receive(event.data);
    socket.onclose = (event) => socket === this.socket && this.perform(this.protocol.closed(event.code, event.reason));
  }

  private receive(data: unknown): void {
    if (data instanceof ArrayBuffer) {
      const landmarks = decodeLandmarks(data);
      if (landmarks !== null) this.listener.landmarks(landmarks);
    } else if (typeof data === "string") {
      this.perform(this.protocol.received(JSON.parse(data) as ServerMessage, this.now()));
    }
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
