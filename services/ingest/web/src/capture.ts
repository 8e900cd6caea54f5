/** The webcam: asks for it, shows it, and takes JPEGs of it at a steady pace. */

export interface CaptureSettings {
  fps: number;
  width: number;
  height: number;
  /** JPEG quality, 0..1. */
  quality: number;
}

export type CameraProblem = "denied" | "none" | "in_use" | "insecure" | "lost" | "other";

export class CameraError extends Error {
  constructor(
    readonly problem: CameraProblem,
    detail: string,
  ) {
    super(detail);
  }
}

/** What the browser says, sorted by what the student can do about it (names from the Media Capture specification). */
export function cameraProblem(name: string): CameraProblem {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return "none";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "in_use";
    default:
      return "other";
  }
}

export class Camera {
  private stream: MediaStream | null = null;
  private worker: Worker | null = null;
  private encoding = false;
  /** While true the camera stays open and no picture is taken. */
  paused = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly onLost: () => void,
  ) {}

  /** Raises `CameraError`. */
  async open(settings: CaptureSettings): Promise<void> {
    // Outside of HTTPS and localhost browsers do not offer the API at all.
    if (!navigator.mediaDevices?.getUserMedia) throw new CameraError("insecure", "no mediaDevices");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: {
          width: { ideal: Math.max(640, settings.width) },
          height: { ideal: Math.max(480, settings.height) },
          facingMode: "user",
        },
      });
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      throw new CameraError(cameraProblem(name), String(error));
    }
    for (const track of this.stream.getVideoTracks()) track.addEventListener("ended", () => this.onLost());
    this.video.srcObject = this.stream;
    await this.video.play().catch(() => undefined);
  }

  /** Takes pictures until `close`. One that is due while the one before is still being encoded is missed. */
  capture(
    settings: CaptureSettings,
    take: (jpeg: Uint8Array, capturedAtMs: number) => void,
    missed: () => void,
  ): void {
    const canvas = new OffscreenCanvas(settings.width, settings.height);
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) throw new CameraError("other", "no 2d canvas");
    this.worker?.terminate();
    this.worker = new Worker(new URL("./ticker.worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = async () => {
      if (this.stream === null || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
      if (this.paused) return;
      if (this.encoding) return missed();
      this.encoding = true;
      try {
        const capturedAtMs = Date.now();
        drawCovering(context, this.video, settings.width, settings.height);
        const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: settings.quality });
        const jpeg = new Uint8Array(await blob.arrayBuffer());
        if (this.stream !== null) take(jpeg, capturedAtMs);
      } finally {
        this.encoding = false;
      }
    };
    this.worker.postMessage({ intervalMs: 1000 / settings.fps });
  }

  close(): void {
    this.worker?.terminate();
    this.worker = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.paused = false;
    this.video.srcObject = null;
  }
}

/** The part of a source that fills the wanted shape without stretching: [x, y, width, height] in source pixels. */
export function cover(
  sourceWidth: number,
  sourceHeight: number,
  width: number,
  height: number,
): [number, number, number, number] {
  const scale = Math.min(sourceWidth / width, sourceHeight / height);
  const [w, h] = [width * scale, height * scale];
  return [(sourceWidth - w) / 2, (sourceHeight - h) / 2, w, h];
}

function drawCovering(
  context: OffscreenCanvasRenderingContext2D,
  video: HTMLVideoElement,
  width: number,
  height: number,
): void {
  const [x, y, w, h] = cover(video.videoWidth, video.videoHeight, width, height);
  context.drawImage(video, x, y, w, h, 0, 0, width, height);
}
