/** What is drawn over a picture: the mesh's eyes and mouth, the head's axes; and a stand-in face where no picture is. */
import type { FrameMetrics } from "./messages";
import {
  EYE_IMAGE_LEFT,
  EYE_IMAGE_RIGHT,
  headAxes,
  IRIS_IMAGE_LEFT,
  IRIS_IMAGE_RIGHT,
  LIPS_INNER,
  LIPS_OUTER,
  NOSE_TIP,
  FOREHEAD,
  CHIN,
  type Point,
  point,
} from "./landmarks";

const INK = { mesh: "#7ff0df", mouth: "#ffd58a", right: "#ff8f8f", up: "#9df09a", forward: "#8fc4ff" };

export interface FrameSize {
  width: number;
  height: number;
}

type Pose = Pick<FrameMetrics, "yaw_deg" | "pitch_deg" | "roll_deg">;

/** From frame pixels to the box it is shown in, mirrored left to right when wanted. */
export function placement(frame: FrameSize, box: FrameSize, mirror: boolean): (at: Point) => Point {
  const scale = Math.max(box.width / frame.width, box.height / frame.height);
  const [dx, dy] = [(box.width - frame.width * scale) / 2, (box.height - frame.height * scale) / 2];
  return ([x, y]) => [mirror ? box.width - (x * scale + dx) : x * scale + dx, y * scale + dy];
}

export function drawMesh(
  context: CanvasRenderingContext2D,
  points: Float32Array,
  pose: Pose | null,
  place: (at: Point) => Point,
  mirror: boolean,
): void {
  const at = (index: number) => place(point(points, index));
  context.lineJoin = "round";
  context.shadowColor = "rgb(0 0 0 / 60%)";
  context.shadowBlur = 3;
  context.lineWidth = 1.75;
  context.strokeStyle = INK.mesh;
  for (const ring of [EYE_IMAGE_LEFT, EYE_IMAGE_RIGHT]) outline(context, ring.map(at));
  for (const [center, edge] of [IRIS_IMAGE_LEFT, IRIS_IMAGE_RIGHT]) {
    const [x, y] = at(center);
    const [ex, ey] = at(edge);
    context.beginPath();
    context.arc(x, y, Math.hypot(ex - x, ey - y), 0, 2 * Math.PI);
    context.stroke();
  }
  context.strokeStyle = INK.mouth;
  for (const ring of [LIPS_OUTER, LIPS_INNER]) outline(context, ring.map(at));
  const [top, bottom] = [at(FOREHEAD), at(CHIN)];
  if (pose !== null) drawAxes(context, at(NOSE_TIP), Math.hypot(top[0] - bottom[0], top[1] - bottom[1]) * 0.45, pose, mirror);
  context.shadowBlur = 0;
}

export function drawAxes(
  context: CanvasRenderingContext2D,
  [x, y]: Point,
  length: number,
  pose: Pose,
  mirror: boolean,
): void {
  if (pose.yaw_deg === null || pose.pitch_deg === null || pose.roll_deg === null) return;
  const axes = headAxes(pose.yaw_deg, pose.pitch_deg, pose.roll_deg);
  context.lineCap = "round";
  context.lineWidth = Math.max(2, length / 28);
  for (const name of ["right", "up", "forward"] as const) {
    const [dx, dy] = axes[name];
    context.strokeStyle = INK[name];
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + (mirror ? -dx : dx) * length, y + dy * length);
    context.stroke();
  }
  context.fillStyle = INK.forward;
  context.beginPath();
  const [fx, fy] = axes.forward;
  context.arc(x + (mirror ? -fx : fx) * length, y + fy * length, Math.max(3, length / 16), 0, 2 * Math.PI);
  context.fill();
}

/** A face from the numbers alone: turned, tilted, blinking and yawning as measured. */
export function drawFace(context: CanvasRenderingContext2D, box: FrameSize, metrics: FrameMetrics | null, ink: string): void {
  const [cx, cy] = [box.width / 2, box.height / 2];
  const radius = Math.min(box.width, box.height) * 0.34;
  const known = metrics !== null && metrics.face_present && metrics.yaw_deg !== null;
  const axes = headAxes(metrics?.yaw_deg ?? 0, metrics?.pitch_deg ?? 0, metrics?.roll_deg ?? 0);
  const spot = (right: number, up: number, forward: number): Point => [
    cx + radius * (right * axes.right[0] + up * axes.up[0] + forward * axes.forward[0]),
    cy + radius * (right * axes.right[1] + up * axes.up[1] + forward * axes.forward[1]),
  ];
  context.strokeStyle = ink;
  context.fillStyle = ink;
  context.lineWidth = Math.max(1.5, radius / 26);
  context.lineCap = "round";
  context.setLineDash(known ? [] : [4, 6]);
  context.beginPath();
  context.ellipse(cx, cy, radius * 0.8, radius, -((metrics?.roll_deg ?? 0) * Math.PI) / 180, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
  if (!known) return;
  for (const [side, ear] of [
    [-0.34, metrics.ear_left],
    [0.34, metrics.ear_right],
  ] as const) {
    const [x, y] = spot(side, 0.18, 0.75);
    const open = Math.min(1, Math.max(0, (ear ?? 0) / 0.35));
    context.beginPath();
    context.ellipse(x, y, radius * 0.15, Math.max(0.5, radius * 0.09 * open), -((metrics.roll_deg ?? 0) * Math.PI) / 180, 0, 2 * Math.PI);
    context.stroke();
  }
  const [mx, my] = spot(0, -0.48, 0.75);
  const gape = Math.min(1, Math.max(0, metrics.mar ?? 0));
  context.beginPath();
  context.ellipse(mx, my, radius * 0.24, Math.max(0.5, radius * 0.24 * gape), -((metrics.roll_deg ?? 0) * Math.PI) / 180, 0, 2 * Math.PI);
  context.stroke();
  drawAxes(context, spot(0, -0.1, 0.85), radius * 0.55, metrics, false);
}

function outline(context: CanvasRenderingContext2D, ring: Point[]): void {
  context.beginPath();
  ring.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  context.closePath();
  context.stroke();
}
