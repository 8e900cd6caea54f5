/** What is measured of oneself: the state in words, engagement as a ring and its parts, and the values one by one. */
import { h, setText, svg } from "./dom";
import type { Emotion, FrameMetrics, Prediction, State } from "./messages";
import type { Counters } from "./protocol";
import {
  EMOTION_WORDS,
  gazeWords,
  headWords,
  MISSING,
  missingWhy,
  number,
  PART_WORDS,
  percent,
  predictionWords,
  reasonAdvice,
  reasonWords,
  STATE_WORDS,
} from "./words";

const RING_RADIUS = 52;
const RING_LENGTH = 2 * Math.PI * RING_RADIUS;

export interface Reading {
  metrics: FrameMetrics;
  latencyMs: number | null;
  counters: Counters;
  /** Of the last window of five seconds. */
  prediction: Prediction | null;
}

interface Row {
  id: string;
  label: string;
  value: (reading: Reading) => string;
  detail: (reading: Reading) => string;
  /** Why the value is missing, where it is not for the frame's own reason. */
  missing?: (reading: Reading) => string;
  /** Rows without it are always shown. */
  shown?: (reading: Reading) => boolean;
}

/** Image left is the person's right; the page speaks of the person's own sides. */
export const ROWS: Row[] = [
  {
    id: "eyes",
    label: "Eyes",
    value: ({ metrics }) => (metrics.eyes_closed === null ? MISSING : metrics.eyes_closed ? "closed" : "open"),
    detail: ({ metrics }) => `opening (EAR) left ${number(metrics.ear_right, 2)}, right ${number(metrics.ear_left, 2)}`,
  },
  {
    id: "blinks",
    label: "Blinks",
    value: ({ metrics }) => String(metrics.blink_count),
    detail: () => "since the start",
  },
  {
    id: "perclos",
    label: "PERCLOS",
    value: ({ metrics }) => percent(metrics.perclos),
    detail: () => "eyes closed, last minute",
  },
  {
    id: "yawns",
    label: "Yawns",
    value: ({ metrics }) => String(metrics.yawn_count),
    detail: ({ metrics }) => (metrics.yawning ? "yawning now" : `mouth opening (MAR) ${number(metrics.mar, 2)}`),
  },
  {
    id: "gaze",
    label: "Gaze",
    value: ({ metrics }) => gazeWords(metrics.gaze, "own"),
    detail: ({ metrics }) =>
      `${sideways(metrics.gaze_h, 2, "")}, ${updown(negative(metrics.gaze_v), 2, "")}`,
  },
  {
    id: "head",
    label: "Head",
    value: ({ metrics }) => headWords(metrics.head_pose, "own"),
    detail: ({ metrics }) =>
      `${sideways(metrics.yaw_deg, 0, "°")}, ${updown(metrics.pitch_deg, 0, "°")}, tilt ${number(abs(metrics.roll_deg), 0, "°")}`,
  },
  {
    id: "hand",
    label: "Hand",
    value: ({ metrics }) => (metrics.hand_raised === null ? MISSING : metrics.hand_raised ? "raised" : "not raised"),
    detail: () => "wrist above the shoulder",
    missing: ({ metrics }) => (metrics.insufficient_signal ? missingWhy(metrics) : "not looked for yet"),
  },
  {
    id: "expression",
    label: "Expression",
    shown: ({ metrics }) => metrics.emotion !== undefined,
    value: ({ metrics }) => (metrics.emotion == null ? MISSING : EMOTION_WORDS[metrics.emotion]),
    detail: ({ metrics }) => strongest(metrics.emotion_scores ?? null),
    missing: ({ metrics }) => (metrics.insufficient_signal ? missingWhy(metrics) : "your neutral face is being learned"),
  },
  {
    id: "window",
    label: "Last 5 seconds",
    value: ({ prediction }) => (prediction === null ? MISSING : predictionWords(prediction)),
    detail: ({ prediction }) =>
      prediction?.change_score == null ? "nothing to compare with yet" : `${percent(prediction.change_score)} unlike before`,
    missing: ({ prediction }) => (prediction === null ? "a window is under way" : "too little was measurable"),
  },
  {
    id: "picture",
    label: "Picture",
    value: ({ metrics }) =>
      metrics.insufficient_reason === "dark" ? "too dark" : metrics.insufficient_reason === "blurred" ? "blurred"
        : metrics.insufficient_reason === "face_small" ? "too far" : metrics.quality.still ? "does not move"
        : metrics.face_present ? "good" : MISSING,
    detail: ({ metrics: { quality, face_count } }) =>
      `face ${number(quality.face_px, 0, " px")}, light ${number(quality.brightness)}, sharpness ${number(quality.blur)}`
      + (face_count > 1 ? `, ${face_count - 1} more in the picture` : ""),
  },
  {
    id: "latency",
    label: "Delay",
    value: ({ latencyMs }) => number(latencyMs, 0, " ms"),
    detail: ({ counters }) => `${counters.acknowledged} pictures received, ${counters.skipped} left out`,
  },
];

/** "happy 0.71, neutral 0.22" */
function strongest(scores: Record<Emotion, number> | null): string {
  return Object.entries(scores ?? {})
    .sort(([, a], [, b]) => b - a)
    .slice(0, 2)
    .map(([name, score]) => `${EMOTION_WORDS[name as Emotion] ?? name} ${percent(score)}`)
    .join(", ");
}

function abs(value: number | null): number | null {
  return value === null ? null : Math.abs(value);
}

/** Of gaze, up is positive; of the head's pitch, down. */
function negative(value: number | null): number | null {
  return value === null ? null : -value;
}

/** Positive is image right, which is the person's left. */
function sideways(value: number | null, digits: number, unit: string): string {
  return value === null ? MISSING : `${number(Math.abs(value), digits, unit)} ${value > 0 ? "left" : "right"}`;
}

/** Positive is down. */
function updown(value: number | null, digits: number, unit: string): string {
  return value === null ? MISSING : `${number(Math.abs(value), digits, unit)} ${value > 0 ? "down" : "up"}`;
}

/** "head_pose" → "Head pose" */
export function partLabel(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export class Measures {
  readonly element: HTMLElement;
  private readonly ring = svg("circle", { class: "ring-value", cx: 60, cy: 60, r: RING_RADIUS });
  private readonly ringText = h("span", { class: "ring-number", id: "engagement" }, MISSING);
  private readonly stateText = h("p", { class: "state-words", id: "state" }, "Waiting for the first picture");
  private readonly reasonText = h("p", { class: "soft state-reason", id: "reason" });
  private readonly parts = h("div", { class: "parts", role: "group", "aria-label": "What engagement is made of" });
  private readonly bars = new Map<string, { bar: HTMLElement; text: HTMLElement }>();
  private readonly cells = new Map<string, { cell: HTMLElement; value: HTMLElement; detail: HTMLElement }>();

  constructor() {
    const values = ROWS.map((row) => {
      const value = h("dd", { class: "value", id: `value-${row.id}` }, MISSING);
      const detail = h("dd", { class: "soft detail" });
      const cell = h("div", { class: "cell", hidden: row.shown !== undefined }, h("dt", {}, row.label), value, detail);
      this.cells.set(row.id, { cell, value, detail });
      return cell;
    });
    const ring = svg(
      "svg",
      { viewBox: "0 0 120 120", class: "ring", "aria-hidden": "true" },
      svg("circle", { class: "ring-track", cx: 60, cy: 60, r: RING_RADIUS }),
      this.ring,
    );
    this.ring.style.strokeDasharray = `0 ${RING_LENGTH}`;
    this.element = h(
      "section",
      { class: "card measures", "aria-label": "Measured now" },
      h(
        "div",
        { class: "headline" },
        h("div", { class: "ring-box" }, ring, h("div", { class: "ring-label" }, this.ringText, h("span", { class: "soft" }, "engagement"))),
        h("div", { class: "headline-text" }, this.stateText, this.reasonText, this.parts),
      ),
      h("dl", { class: "values" }, ...values),
    );
    this.setState("unknown");
  }

  show(reading: Reading): void {
    const { metrics } = reading;
    const share = metrics.engagement;
    setText(this.ringText, percent(share));
    this.ring.style.strokeDasharray = `${(share ?? 0) * RING_LENGTH} ${RING_LENGTH}`;
    this.ring.style.opacity = share ? "1" : "0";
    this.setState(metrics.state);
    setText(this.stateText, STATE_WORDS[metrics.state] ?? metrics.state);
    const reason = metrics.insufficient_signal ? reasonWords(metrics.insufficient_reason) : null;
    const still = metrics.quality.still ? "This looks like a photo: the face has not moved for a while." : "";
    setText(this.reasonText, reason === null ? still : `Not measured: ${reason}. ${reasonAdvice(metrics.insufficient_reason)}`);
    this.showParts(metrics.engagement_parts);
    const why = missingWhy(metrics);
    for (const row of ROWS) {
      const cell = this.cells.get(row.id);
      if (cell === undefined) continue;
      if (row.shown !== undefined) cell.cell.hidden = !row.shown(reading);
      const value = row.value(reading);
      setText(cell.value, value);
      cell.value.classList.toggle("missing", value === MISSING);
      setText(cell.detail, value === MISSING ? (row.missing?.(reading) ?? why) : row.detail(reading));
    }
  }

  private setState(state: State): void {
    this.element.dataset["state"] = state;
  }

  private showParts(parts: Record<string, number> | null): void {
    this.parts.classList.toggle("missing", parts === null);
    for (const [name, share] of Object.entries(parts ?? {})) {
      let each = this.bars.get(name);
      if (each === undefined) {
        each = { bar: h("span", { class: "part-bar" }), text: h("span", { class: "part-share" }) };
        this.bars.set(name, each);
        this.parts.append(
          h(
            "div",
            { class: "part" },
            h("span", { class: "part-name" }, partLabel(name)),
            h("span", { class: "part-track", "aria-hidden": "true" }, each.bar),
            each.text,
            h("span", { class: "soft part-what" }, PART_WORDS[name] ?? ""),
          ),
        );
      }
      each.bar.style.inlineSize = `${Math.min(1, Math.max(0, share / (PART_MOST[name] ?? UNKNOWN_PART_MOST))) * 100}%`;
      const most = PART_MOST[name];
      setText(each.text, most === undefined ? percent(share) : `${Math.round(share * 100)} of ${percent(most)}`);
    }
    if (parts === null) {
      for (const each of this.bars.values()) {
        each.bar.style.inlineSize = "0";
        setText(each.text, MISSING);
      }
    }
  }
}

/** What each part can give at most: its bar is full there. Parts that this page does not know yet share one scale. */
const PART_MOST: Record<string, number> = { presence: 0.3, eyes: 0.25, gaze: 0.2, head: 0.25 };
const UNKNOWN_PART_MOST = 0.3;
