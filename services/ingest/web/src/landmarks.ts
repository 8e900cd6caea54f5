/**
 * Which of the face mesh's 478 points draw what (MediaPipe Face Mesh with irises). "Image left" is the eye on the left
 * of the picture as sent, which is the person's right eye.
 */
export const EYE_IMAGE_LEFT = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246] as const;
export const EYE_IMAGE_RIGHT = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466] as const;
export const IRIS_IMAGE_LEFT = [468, 469, 470, 471, 472] as const;
export const IRIS_IMAGE_RIGHT = [473, 474, 475, 476, 477] as const;
export const LIPS_OUTER = [
  61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
] as const;
export const LIPS_INNER = [
  78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
] as const;
export const NOSE_TIP = 1;
export const FOREHEAD = 10;
export const CHIN = 152;

export type Point = readonly [x: number, y: number];

/** One landmark in pixels of the frame as sent. */
export function point(points: Float32Array, index: number): Point {
  return [points[index * 3] ?? 0, points[index * 3 + 1] ?? 0];
}

/** Where the head's own axes end, seen in the image, each of length 1 before foreshortening. */
export interface HeadAxes {
  right: Point;
  up: Point;
  forward: Point;
}

/**
 * Axes of a head in image coordinates (x right, y down), from angles in degrees: yaw > 0 turns to image right,
 * pitch > 0 looks down, roll > 0 tilts counter-clockwise. `right` is the head's side at image right.
 */
export function headAxes(yawDeg: number, pitchDeg: number, rollDeg: number): HeadAxes {
  const [yaw, pitch, roll] = [yawDeg, pitchDeg, rollDeg].map((deg) => (deg * Math.PI) / 180) as [number, number, number];
  const rolled = (x: number, y: number): Point => [
    x * Math.cos(roll) + y * Math.sin(roll),
    -x * Math.sin(roll) + y * Math.cos(roll),
  ];
  return {
    right: rolled(Math.cos(yaw), 0),
    up: rolled(Math.sin(pitch) * Math.sin(yaw), -Math.cos(pitch)),
    forward: rolled(Math.cos(pitch) * Math.sin(yaw), Math.sin(pitch)),
  };
}
