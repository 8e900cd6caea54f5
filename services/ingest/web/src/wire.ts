/** The binary messages, as in schemas/frames.py. All integers of the prefixes are big-endian. */

export const FRAME_PREFIX_BYTES = 13;
export const LANDMARK_COUNT = 478;

const FRAME = 0x01;
const LANDMARKS = 0x02;
const PREVIEW = 0x03;
const LANDMARKS_PREFIX_BYTES = 5;
const UNITS_PER_PX = 8;

/** One mesh: x and y in pixels of the frame as sent, z in the same unit; `points` is x, y, z by turns. */
export interface Landmarks {
  seq: number;
  points: Float32Array;
}

export interface Preview {
  sessionId: string;
  jpeg: Uint8Array<ArrayBuffer>;
}

/** The numbered and stamped form of a frame: 0x01, seq (uint32), captured_at_ms (uint64), JPEG. */
export function encodeFrame(seq: number, capturedAtMs: number, jpeg: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(FRAME_PREFIX_BYTES + jpeg.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, FRAME);
  view.setUint32(1, seq);
  view.setBigUint64(5, BigInt(Math.round(capturedAtMs)));
  message.set(jpeg, FRAME_PREFIX_BYTES);
  return message;
}

/** 0x02, seq (uint32), 478 × (x, y, z) int16 little-endian in 1/8 px. Null when it is something else. */
export function decodeLandmarks(message: ArrayBuffer): Landmarks | null {
  const wanted = LANDMARKS_PREFIX_BYTES + LANDMARK_COUNT * 3 * 2;
  if (message.byteLength !== wanted) return null;
  const view = new DataView(message);
  if (view.getUint8(0) !== LANDMARKS) return null;
  const points = new Float32Array(LANDMARK_COUNT * 3);
  for (let at = 0; at < points.length; at++) {
    points[at] = view.getInt16(LANDMARKS_PREFIX_BYTES + at * 2, true) / UNITS_PER_PX;
  }
  return { seq: view.getUint32(1), points };
}

/** 0x03, length of the session id (uint8), the session id (ASCII), JPEG. Null when it is something else. */
export function decodePreview(message: ArrayBuffer): Preview | null {
  const bytes = new Uint8Array(message);
  const length = bytes[1];
  if (bytes[0] !== PREVIEW || length === undefined || bytes.length <= 2 + length) return null;
  return { sessionId: new TextDecoder().decode(bytes.subarray(2, 2 + length)), jpeg: bytes.slice(2 + length) };
}
