import { describe, expect, it } from "vitest";
import { decodeLandmarks, decodePreview, encodeFrame, LANDMARK_COUNT } from "../src/wire";

describe("a frame", () => {
  it("has 13 bytes before the JPEG, big-endian", () => {
    const message = encodeFrame(0x01020304, 1_760_000_001_700, new Uint8Array([0xff, 0xd8, 7]));
    // struct.pack(">BIQ", 1, 0x01020304, 1760000001700)
    expect([...message]).toEqual([1, 1, 2, 3, 4, 0, 0, 1, 0x99, 0xc8, 0x2c, 0xc6, 0xa4, 0xff, 0xd8, 7]);
  });

  it("takes the highest number", () => {
    expect([...encodeFrame(2 ** 32 - 1, 0, new Uint8Array())]).toEqual([1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe("landmarks", () => {
  function message(seq: number): DataView {
    const view = new DataView(new ArrayBuffer(5 + LANDMARK_COUNT * 6));
    view.setUint8(0, 2);
    view.setUint32(1, seq);
    return view;
  }

  it("are eighths of a pixel, little-endian, and may lie outside of the picture", () => {
    const view = message(70_000);
    view.setInt16(5, 1001, true);
    view.setInt16(7, -20, true);
    view.setInt16(5 + 477 * 6 + 4, 8, true);
    const landmarks = decodeLandmarks(view.buffer as ArrayBuffer);
    expect(landmarks?.seq).toBe(70_000);
    expect(landmarks?.points.slice(0, 3)).toEqual(new Float32Array([125.125, -2.5, 0]));
    expect(landmarks?.points[477 * 3 + 2]).toBe(1);
  });

  it("are nothing when cut short or of another kind", () => {
    const view = message(1);
    expect(decodeLandmarks((view.buffer as ArrayBuffer).slice(0, -1))).toBeNull();
    view.setUint8(0, 3);
    expect(decodeLandmarks(view.buffer as ArrayBuffer)).toBeNull();
    expect(decodeLandmarks(new ArrayBuffer(0))).toBeNull();
  });
});

describe("a preview", () => {
  const bytes = (...values: number[]) => new Uint8Array(values).buffer;

  it("names its session", () => {
    const preview = decodePreview(bytes(3, 3, 0x73, 0x2d, 0x31, 0xff, 0xd8));
    expect(preview?.sessionId).toBe("s-1");
    expect([...(preview?.jpeg ?? [])]).toEqual([0xff, 0xd8]);
  });

  it("is nothing without a picture or of another kind", () => {
    expect(decodePreview(bytes(3, 3, 0x73, 0x2d, 0x31))).toBeNull();
    expect(decodePreview(bytes(2, 1, 0x73, 0xff))).toBeNull();
    expect(decodePreview(bytes())).toBeNull();
  });
});
