/** One tile per student: picture or stand-in, state, why not measurable, a spark line of engagement. */
import { drawSparkline } from "./chart";
import { h, setText, sharpContext, token } from "./dom";
import { drawAxes, drawFace } from "./overlay";
import { isSilent, type Member, shownState } from "./roster";
import { Series } from "./series";
import { MISSING, percent, reasonWords, STATE_WORDS } from "./words";

const SPARK_MS = 60_000;

export class Tile {
  readonly element: HTMLElement;
  private readonly image = h("img", { class: "preview", alt: "", hidden: true });
  private readonly canvas = h("canvas", { class: "face", "aria-hidden": "true" });
  private readonly spark = h("canvas", { class: "spark", "aria-hidden": "true" });
  private readonly name = h("h3", { class: "tile-name" });
  private readonly state = h("span", { class: "state-badge" });
  private readonly why = h("p", { class: "soft tile-why" });
  private readonly share = h("span", { class: "tile-share" });
  private readonly series = new Series(SPARK_MS, 1);
  private previewUrl: string | null = null;
  private lastSeq = -1;

  constructor() {
    this.element = h(
      "li",
      { class: "tile" },
      h("div", { class: "tile-picture" }, this.image, this.canvas, this.state),
      h("div", { class: "tile-body" }, h("div", { class: "tile-line" }, this.name, this.share), this.why, this.spark),
    );
  }

  show(member: Member, nowMs: number): void {
    const silent = isSilent(member, nowMs);
    const { metrics, session } = member;
    const state = shownState(member, nowMs);
    this.element.dataset["state"] = state;
    this.element.dataset["session"] = session.session_id;
    this.element.classList.toggle("silent", silent);
    setText(this.name, session.display_name);
    setText(this.state, silent ? (metrics === null ? "Waiting" : "No signal") : STATE_WORDS[state]);
    setText(this.share, silent ? MISSING : percent(metrics?.engagement));
    const reason = silent || metrics === null || !metrics.insufficient_signal ? null : reasonWords(metrics.insufficient_reason);
    setText(
      this.why,
      silent
        ? metrics === null ? "no results yet" : "no pictures arrive"
        : (reason ?? (metrics?.hand_raised ? "hand raised" : metrics?.yawning ? "yawning" : metrics?.eyes_closed ? "eyes closed" : "")),
    );
    if (metrics !== null && metrics.seq !== this.lastSeq) {
      this.lastSeq = metrics.seq;
      this.series.push(nowMs, metrics.engagement);
    }
    this.draw(member, silent);
    drawSparkline(this.spark, this.series.all, nowMs - SPARK_MS, nowMs, token(`--${state}`));
  }

  setPreview(jpeg: Uint8Array<ArrayBuffer>): void {
    const url = URL.createObjectURL(new Blob([jpeg], { type: "image/jpeg" }));
    this.image.src = url;
    this.image.hidden = false;
    if (this.previewUrl !== null) URL.revokeObjectURL(this.previewUrl);
    this.previewUrl = url;
  }

  close(): void {
    if (this.previewUrl !== null) URL.revokeObjectURL(this.previewUrl);
    this.element.remove();
  }

  private draw(member: Member, silent: boolean): void {
    const context = sharpContext(this.canvas);
    if (context === null) return;
    const box = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    const metrics = silent ? null : member.metrics;
    if (this.image.hidden) {
      drawFace(context, box, metrics, token("--ink-soft"));
      return;
    }
    if (metrics === null || metrics.yaw_deg === null) return;
    const radius = 20;
    context.fillStyle = "rgb(10 16 22 / 62%)";
    context.beginPath();
    context.arc(box.width - radius - 8, box.height - radius - 8, radius, 0, 2 * Math.PI);
    context.fill();
    drawAxes(context, [box.width - radius - 8, box.height - radius - 8], radius * 0.72, metrics, false);
  }
}
