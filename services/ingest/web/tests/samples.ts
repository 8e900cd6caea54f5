import type { FrameMetrics, LiveSession } from "../src/messages";

export function metrics(over: Partial<FrameMetrics> = {}): FrameMetrics {
  return {
    session_id: "s-1",
    seq: 17,
    captured_at_ms: 1_760_000_001_700,
    received_at_ms: 1_760_000_001_712,
    analyzed_at_ms: 1_760_000_001_718,
    face_present: true,
    face_count: 1,
    quality: { face_px: 118, blur: 182.5, brightness: 131.2 },
    insufficient_signal: false,
    insufficient_reason: null,
    ear_left: 0.31,
    ear_right: 0.29,
    mar: 0.08,
    eyes_closed: false,
    blink_count: 2,
    perclos: 0.04,
    drowsy: false,
    yawning: false,
    yawn_count: 0,
    gaze_h: 0.05,
    gaze_v: -0.02,
    gaze: "center",
    yaw_deg: 12,
    pitch_deg: -2,
    roll_deg: 0.4,
    head_pose: "forward",
    hand_raised: false,
    engagement: 0.86,
    engagement_parts: { presence: 0.3, eyes: 0.25, gaze: 0.16, head: 0.15 },
    state: "engaged",
    ...over,
  };
}

export function session(id: string, over: Partial<LiveSession> = {}): LiveSession {
  return {
    session_id: id,
    student_id: id,
    display_name: id,
    live: true,
    live_view: false,
    started_at_ms: null,
    metrics: null,
    ...over,
  };
}
