/** The colours of the design system, held to WCAG 2.2's contrast: 4.5:1 for text, 3:1 for what is not text. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../src/styles.css", import.meta.url), "utf8");

function tokens(block: string): Record<string, string> {
  return Object.fromEntries([...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})\s*;/g)].map((each) => [each[1], each[2]]));
}

const roots = [...css.matchAll(/:root\s*{([^}]*)}/g)].map((each) => tokens(each[1] ?? ""));
const light = roots[0] ?? {};
const dark = { ...light, ...roots[1] };

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const STATES = ["engaged", "distracted", "drowsy", "absent", "unknown"];
const TEXT: [string, string][] = [
  ...["ground", "surface", "raised"].flatMap((ground): [string, string][] => [["ink", ground], ["ink-soft", ground]]),
  ["accent-ink", "accent"],
  ["accent-ink", "accent-hover"],
  ["danger", "surface"],
  ["danger", "danger-wash"],
  ["warn", "warn-wash"],
  ["accent", "info-wash"],
  ...["danger-wash", "warn-wash", "info-wash"].map((wash): [string, string] => ["ink", wash]),
  ...STATES.map((state): [string, string] => [state, "surface"]), // words in the state's colour, and badges on it
];
const SHAPES: [string, string][] = [
  ["line-strong", "surface"],
  ["focus", "surface"],
  ["focus", "ground"],
  ["accent", "surface"],
  ["second", "surface"],
];

describe.each([
  ["light", light],
  ["dark", dark],
])("%s", (_, colors) => {
  it.each(TEXT)("%s on %s can be read", (text, ground) => {
    expect(contrast(colors[text] ?? "", colors[ground] ?? "")).toBeGreaterThanOrEqual(4.5);
  });
  it.each(SHAPES)("%s on %s can be told apart", (shape, ground) => {
    expect(contrast(colors[shape] ?? "", colors[ground] ?? "")).toBeGreaterThanOrEqual(3);
  });
});
