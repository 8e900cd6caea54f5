/** The class over time: mean engagement as a line, and how many are in which state as stacked areas. */
import { ScrollingChart } from "./chart";
import { h } from "./dom";
import type { State } from "./messages";
import { ATTENTION, type ClassSample } from "./roster";
import { Series } from "./series";
import { STATE_WORDS } from "./words";

const WINDOW_S = 300;
/** From bottom to top: the calm ones carry the others. */
const STACK: readonly State[] = [...ATTENTION].reverse();

export class ClassChart {
  readonly element: HTMLElement;
  private readonly meanHost = h("div", { class: "chart", role: "img", "aria-label": "Mean engagement of the class over the last five minutes" });
  private readonly stateHost = h("div", { class: "chart", role: "img", "aria-label": "Number of students per state over the last five minutes" });
  private readonly means = new Series(WINDOW_S * 1000, 1);
  private readonly states = new Series(WINDOW_S * 1000, STACK.length);
  private readonly meanChart: ScrollingChart;
  private readonly stateChart: ScrollingChart;

  constructor() {
    this.element = h(
      "section",
      { class: "class-charts" },
      h("div", { class: "card chart-card" }, h("div", { class: "chart-top" }, h("h2", {}, "Mean engagement"), h("p", { class: "legend" }, "of all who can be measured")), this.meanHost),
      h(
        "div",
        { class: "card chart-card" },
        h("div", { class: "chart-top" }, h("h2", {}, "Students per state"), h("div", { class: "legend" }, ...ATTENTION.map((state) => h("span", { class: `key ${state}` }, STATE_WORDS[state])))),
        this.stateHost,
      ),
    );
    this.meanChart = new ScrollingChart(this.meanHost, {
      windowS: WINDOW_S,
      everyS: 60,
      height: 170,
      axes: [{ scale: "share", range: [0, 1], splits: [0, 0.25, 0.5, 0.75, 1], format: (value) => `${Math.round(value * 100)} %` }],
      lines: [{ label: "Mean engagement", color: "--accent", scale: "share", width: 2.25, fill: "--accent-wash" }],
    });
    this.stateChart = new ScrollingChart(this.stateHost, {
      windowS: WINDOW_S,
      everyS: 60,
      height: 170,
      axes: [{ scale: "count", range: "count", format: (value) => String(value) }],
      // Drawn from the top of the stack down, each over the one above it.
      lines: [...STACK].reverse().map((state) => ({ label: STATE_WORDS[state], color: `--${state}`, scale: "count", width: 1, fill: `--${state}-area` })),
    });
  }

  push(sample: ClassSample, nowMs: number): void {
    this.means.push(nowMs, sample.meanEngagement);
    let below = 0;
    const tops = STACK.map((state) => (below += sample.counts[state]));
    this.states.push(nowMs, ...tops.reverse());
    this.meanChart.draw(this.means.table(), nowMs);
    this.stateChart.draw(this.states.table(), nowMs);
  }

  clear(): void {
    this.means.clear();
    this.states.clear();
  }

  close(): void {
    this.meanChart.close();
    this.stateChart.close();
  }
}
