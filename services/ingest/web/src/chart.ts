/** Charts: a scrolling uPlot whose time axis stands still and whose data moves, and a spark line. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { sharpContext, token } from "./dom";
import type { Sample } from "./series";

export interface Line {
  label: string;
  /** Custom property that holds its colour. */
  color: string;
  scale: string;
  width?: number;
  dash?: number[];
  fill?: string;
}

export interface ScrollingChartOptions {
  windowS: number;
  /** A mark on the time axis every so many seconds. */
  everyS: number;
  height: number;
  lines: Line[];
  /** Value axes by scale: the first stands left, the second right. */
  axes: { scale: string; range: [number, number] | "count"; format: (value: number) => string; splits?: number[] }[];
  /** Fill between line pairs, for stacked areas: [upper, lower] by line number (from 1) and colour. */
  bands?: { series: [number, number]; fill: string }[];
}

const NARROW_PX = 420;
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export class ScrollingChart {
  private readonly plot: uPlot;
  private readonly resizing: ResizeObserver;
  private readonly scheme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.plot.redraw(false);

  constructor(
    private readonly host: HTMLElement,
    private readonly options: ScrollingChartOptions,
  ) {
    const { windowS, everyS } = options;
    const grid = { stroke: () => token("--line"), width: 1 };
    const axis = { stroke: () => token("--ink-soft"), font: FONT, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width: host.clientWidth || 320,
        height: options.height,
        legend: { show: false },
        cursor: { show: false },
        padding: [10, options.axes.length > 1 ? 0 : 22, 0, 0],
        scales: {
          x: { time: false },
          ...Object.fromEntries(
            options.axes.map((each) => [
              each.scale,
              { range: each.range === "count" ? (_: uPlot, __: number, max: number) => [0, Math.max(2, max ?? 0)] as [number, number] : each.range },
            ]),
          ),
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            splits: (plot, _, min, max) => marks(min, max, plot.width < NARROW_PX ? everyS * 2 : everyS),
            values: (plot, splits) => splits.map((at) => ago((plot.scales["x"]?.max ?? at) - at)),
          },
          ...options.axes.map((each, index) => ({
            ...axis,
            scale: each.scale,
            side: (index === 0 ? 3 : 1) as uPlot.Axis.Side,
            grid: index === 0 ? grid : { show: false },
            size: 46,
            values: (_: uPlot, splits: number[]) => splits.map(each.format),
            ...(each.splits ? { splits: () => each.splits ?? [] } : {}),
            ...(each.range === "count" ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}),
          })),
        ],
        series: [
          {},
          ...options.lines.map((line) => ({
            label: line.label,
            scale: line.scale,
            stroke: () => token(line.color),
            width: line.width ?? 2,
            points: { show: false },
            ...(line.dash ? { dash: line.dash } : {}),
            ...(line.fill ? { fill: () => token(line.fill ?? "") } : {}),
          })),
        ],
        ...(options.bands
          ? { bands: options.bands.map((band) => ({ series: band.series, fill: () => token(band.fill) })) }
          : {}),
      },
      [[], ...options.lines.map(() => [])] as unknown as uPlot.AlignedData,
      host,
    );
    this.plot.setScale("x", { min: 0, max: windowS });
    this.resizing = new ResizeObserver(() => {
      if (host.clientWidth > 0) this.plot.setSize({ width: host.clientWidth, height: options.height });
    });
    this.resizing.observe(host);
    this.scheme.addEventListener("change", this.redraw);
  }

  /** `table` as `Series.table` gives it; the right edge is `nowMs`. */
  draw(table: (number | null)[][], nowMs: number): void {
    if (this.host.clientWidth === 0) return;
    this.plot.batch(() => {
      this.plot.setData(table as unknown as uPlot.AlignedData, false);
      this.plot.setScale("x", { min: nowMs / 1000 - this.options.windowS, max: nowMs / 1000 });
      for (const each of this.options.axes) {
        if (each.range === "count") {
          const most = table.slice(1).flat().reduce((max: number, value) => Math.max(max, value ?? 0), 0);
          this.plot.setScale(each.scale, { min: 0, max: Math.max(2, most) });
        } else this.plot.setScale(each.scale, { min: each.range[0], max: each.range[1] });
      }
    });
  }

  close(): void {
    this.resizing.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
    this.plot.destroy();
  }
}

/** Steps back from the right edge, left to right. */
function marks(min: number, max: number, every: number): number[] {
  return Array.from({ length: Math.floor((max - min) / every + 1e-6) + 1 }, (_, step) => max - step * every).reverse();
}

function ago(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole === 0) return "now";
  return whole % 60 === 0 && whole >= 60 ? `−${whole / 60} min` : `−${whole} s`;
}

/** A small line of the last moments, 0..1 from bottom to top; gaps stay gaps. */
export function drawSparkline(
  canvas: HTMLCanvasElement,
  samples: readonly Sample[],
  fromMs: number,
  toMs: number,
  color: string,
): void {
  const context = sharpContext(canvas);
  if (context === null) return;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const x = (atMs: number) => ((atMs - fromMs) / (toMs - fromMs)) * width;
  const y = (value: number) => 2 + (1 - Math.min(1, Math.max(0, value))) * (height - 4);
  context.strokeStyle = token("--line");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, height - 1.5);
  context.lineTo(width, height - 1.5);
  context.stroke();
  context.strokeStyle = color;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.beginPath();
  let drawing = false;
  for (const [atMs, value] of samples) {
    if (value === null || value === undefined || atMs < fromMs) drawing = false;
    else {
      if (drawing) context.lineTo(x(atMs), y(value));
      else context.moveTo(x(atMs), y(value));
      drawing = true;
    }
  }
  context.stroke();
}
