import { describe, expect, it } from "vitest";
import * as mesh from "../src/landmarks";
import { placement } from "../src/overlay";

const near = (at: mesh.Point, x: number, y: number) => {
  expect(at[0]).toBeCloseTo(x);
  expect(at[1]).toBeCloseTo(y);
};

describe("the head's axes in the image (x right, y down)", () => {
  it("look at the camera when nothing is turned", () => {
    const axes = mesh.headAxes(0, 0, 0);
    near(axes.right, 1, 0);
    near(axes.up, 0, -1);
    near(axes.forward, 0, 0);
  });
  it("yaw > 0 turns the nose to image right", () => near(mesh.headAxes(90, 0, 0).forward, 1, 0));
  it("pitch > 0 looks down", () => near(mesh.headAxes(0, 90, 0).forward, 0, 1));
  it("roll > 0 tilts counter-clockwise: the top of the head goes to image left", () => near(mesh.headAxes(0, 0, 90).up, -1, 0));
  it("and its side at image right goes up", () => near(mesh.headAxes(0, 0, 90).right, 0, -1));
});

describe("placement", () => {
  const frame = { width: 320, height: 240 };
  it("scales", () => near(placement(frame, { width: 640, height: 480 }, false)([10, 20]), 20, 40));
  it("mirrors left and right only", () => near(placement(frame, { width: 640, height: 480 }, true)([10, 20]), 620, 40));
  it("follows a picture that is cropped to its box", () => near(placement(frame, { width: 240, height: 240 }, false)([160, 120]), 120, 120));
});

it("names points of the mesh once each", () => {
  for (const ring of [mesh.EYE_IMAGE_LEFT, mesh.EYE_IMAGE_RIGHT, mesh.LIPS_OUTER, mesh.LIPS_INNER]) {
    expect(new Set(ring).size).toBe(ring.length);
    expect(Math.max(...ring)).toBeLessThan(478);
  }
});
