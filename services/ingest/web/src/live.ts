/** The instructor's socket: a roster, results, pictures. Comes back by itself; the first message is the whole state. */
import { backoffMs } from "./backoff";
import { CLOSE, type LiveMessage } from "./messages";
import { decodePreview, type Preview } from "./wire";

export interface LiveListener {
  message(message: LiveMessage): void;
  preview(preview: Preview): void;
  connected(): void;
  retrying(afterMs: number): void;
  refused(why: "token" | "not_yours"): void;
}

export class LiveFeed {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private over = false;

  constructor(
    private readonly url: string,
    private readonly listener: LiveListener,
  ) {
    this.connect();
  }

  retryNow(): void {
    if (this.socket === null && !this.over) this.connect();
  }

  close(): void {
    this.over = true;
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private connect(): void {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (socket !== this.socket) return;
      if (data instanceof ArrayBuffer) {
        const preview = decodePreview(data);
        if (preview !== null) this.listener.preview(preview);
      } else if (typeof data === "string") {
        if (this.attempt > 0 || (JSON.parse(data) as LiveMessage).type === "roster") this.listener.connected();
        this.attempt = 0;
        this.listener.message(JSON.parse(data) as LiveMessage);
      }
    };
    socket.onclose = ({ code }) => {
      if (socket !== this.socket || this.over) return;
      this.socket = null;
      if (code === CLOSE.token) return this.refuse("token");
      if (code === CLOSE.othersSession || code === CLOSE.unknownSession) return this.refuse("not_yours");
      const afterMs = backoffMs(this.attempt++, Math.random());
      this.timer = setTimeout(() => this.connect(), afterMs);
      this.listener.retrying(afterMs);
    };
  }

  private refuse(why: "token" | "not_yours"): void {
    this.over = true;
    this.listener.refused(why);
  }
}
