/** The last minute of oneself: engagement and eye opening, scrolling. */
import { ScrollingChart } from "./chart";
import { h } from "./dom";
import type { FrameMetrics } from "./messages";
import { Series } from "./series";

const WINDOW_S = 60;
const DRAW_EVERY_MS = 66;

export class MinuteChart {
  readonly element: HTMLElement;
  private readonly series = new Series(WINDOW_S * 1000, 2);
  private readonly chart: ScrollingChart;
  private drawnAtMs = 0;

  constructor() {
    const host = h("div", { class: "chart", role: "img", "aria-label": "Engagement and eye opening over the last minute" });
    const legend = h(
      "div",
      { class: "legend" },
      h("span", { class: "key engagement" }, "Engagement"),
      h("span", { class: "key eyes" }, "Eye opening (EAR)"),
    );
    this.element = h(
      "section",
      { class: "card chart-card" },
      h("div", { class: "chart-top" }, h("h2", {}, "The last minute"), legend),
      host,
    );
    this.chart = new ScrollingChart(host, {
      windowS: WINDOW_S,
      everyS: 10,
      height: 200,
      axes: [
        { scale: "share", range: [0, 1], splits: [0, 0.25, 0.5, 0.75, 1], format: (value) => `${Math.round(value * 100)} %` },
        { scale: "ear", range: [0, 0.5], splits: [0, 0.1, 0.2, 0.3, 0.4, 0.5], format: (value) => value.toFixed(1) },
      ],
      lines: [
        { label: "Engagement", color: "--accent", scale: "share", width: 2.25, fill: "--accent-wash" },
        { label: "Eye opening", color: "--second", scale: "ear", width: 1.5 },
      ],
    });
  }

  push(metrics: FrameMetrics, nowMs: number): void {
    const ears = [metrics.ear_left, metrics.ear_right].filter((ear) => ear !== null);
    const opening = ears.length ? ears.reduce((sum, ear) => sum + ear, 0) / ears.length : null;
    this.series.push(nowMs, metrics.engagement, opening);
  }

  gap(nowMs: number): void {
    this.series.gap(nowMs);
  }

  clear(): void {
    this.series.clear();
  }

  /** Called with each animation frame; draws less often. */
  draw(nowMs: number): void {
    if (nowMs - this.drawnAtMs < DRAW_EVERY_MS) return;
    this.drawnAtMs = nowMs;
    this.chart.draw(this.series.table(), nowMs);
  }

  close(): void {
    this.chart.close();
  }
}
