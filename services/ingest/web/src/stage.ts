/** The student's own picture, mirrored as in a looking-glass, with the mesh over it. */
import type { CaptureSettings } from "./capture";
import { h, icon, setText, sharpContext } from "./dom";
import type { FrameMetrics } from "./messages";
import { drawMesh, placement } from "./overlay";
import type { Phase } from "./protocol";
import type { Landmarks } from "./wire";

/** Landmarks older than this say nothing about the picture shown now. */
const OVERLAY_MS = 600;

const PHASE_WORDS: Record<Phase, string> = {
  idle: "Camera off",
  connecting: "Connecting…",
  starting: "Connecting…",
  live: "Live",
  waiting: "Reconnecting…",
  stopping: "Finishing…",
  ended: "Camera off",
};

export class Stage {
  readonly element: HTMLElement;
  readonly video = h("video", { muted: true, playsinline: true, autoplay: true, "aria-label": "Your own picture, mirrored" });
  private readonly canvas = h("canvas", { class: "overlay", "aria-hidden": "true" });
  private readonly phasePill = h("span", { class: "pill", id: "phase" }, PHASE_WORDS.idle);
  private readonly recordingPill = h("span", { class: "pill rec", hidden: true }, "Recording");
  private readonly pace = h("span", { class: "soft pace" });
  private readonly drawing = h("input", { type: "checkbox", id: "show-overlay", checked: true });
  private readonly stopButton: HTMLButtonElement;
  private metrics: FrameMetrics | null = null;
  private drawnAtMs = 0;

  constructor(onStop: () => void) {
    this.video.muted = true; // the attribute alone does not count for elements made in script
    this.stopButton = h("button", { class: "danger", type: "button", id: "stop", onclick: onStop }, icon("stop"), "Stop");
    this.element = h(
      "section",
      { class: "card camera", "aria-label": "Camera" },
      h(
        "div",
        { class: "stage" },
        this.video,
        this.canvas,
        h("div", { class: "stage-empty" }, icon("camera"), h("p", {}, "Your picture appears here")),
        h("div", { class: "pills" }, this.phasePill, this.recordingPill),
      ),
      h(
        "div",
        { class: "camera-bar" },
        this.stopButton,
        h("label", { class: "check" }, this.drawing, "Show what is tracked"),
        this.pace,
      ),
    );
    this.drawing.addEventListener("change", () => this.clearOverlay());
    this.setPhase("idle");
  }

  setShape(capture: CaptureSettings): void {
    this.element.style.setProperty("--shape", `${capture.width} / ${capture.height}`);
  }

  setPhase(phase: Phase): void {
    setText(this.phasePill, PHASE_WORDS[phase]);
    this.phasePill.dataset["phase"] = phase;
    this.element.classList.toggle("off", phase === "idle" || phase === "ended");
    this.stopButton.disabled = phase === "stopping";
    if (phase !== "live") this.clearOverlay();
  }

  setRecording(active: boolean): void {
    this.recordingPill.hidden = !active;
  }

  setPace(text: string): void {
    setText(this.pace, text);
  }

  showMetrics(metrics: FrameMetrics): void {
    this.metrics = metrics;
    if (!metrics.face_present) this.clearOverlay();
  }

  showLandmarks({ points }: Landmarks, capture: CaptureSettings): void {
    if (!this.drawing.checked) return;
    const context = sharpContext(this.canvas);
    if (context === null) return;
    const box = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    drawMesh(context, points, this.metrics, placement(capture, box, true), true);
    this.drawnAtMs = performance.now();
  }

  /** Called with each animation frame: takes away what is out of date. */
  age(nowMs: number): void {
    if (this.drawnAtMs > 0 && nowMs - this.drawnAtMs > OVERLAY_MS) this.clearOverlay();
  }

  private clearOverlay(): void {
    this.drawnAtMs = 0;
    sharpContext(this.canvas);
  }
}
