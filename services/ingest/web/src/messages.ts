/** What is spoken with the server: mirrors schemas/wire.py, schemas/rest.py and schemas/events.py. */

export type Role = "student" | "instructor" | "admin";
export type State = "engaged" | "distracted" | "drowsy" | "absent" | "unknown";
export type Direction = "left" | "right" | "up" | "down";
export type Gaze = Direction | "center";
export type HeadPose = Direction | "forward" | "tilted";
export type Emotion = "neutral" | "happy" | "sad" | "angry" | "surprised";
/** Arousal first, then valence: high or low. */
export type Quadrant = "HH" | "HL" | "LH" | "LL";
export type InsufficientReason = "no_face" | "face_small" | "dark" | "blurred" | "turned_away" | "several_faces";

export interface Quality {
  face_px: number | null;
  blur: number | null;
  contrast?: number | null;
  brightness: number | null;
  /** The face has not moved by itself for a while, as on a photo. */
  still?: boolean | null;
}

/** Directions are those of the image as sent: left is image left. What cannot be measured is null. */
export interface FrameMetrics {
  session_id: string;
  seq: number;
  captured_at_ms: number;
  received_at_ms: number;
  analyzed_at_ms: number;
  face_present: boolean;
  face_count: number;
  quality: Quality;
  insufficient_signal: boolean;
  insufficient_reason: InsufficientReason | null;
  ear_left: number | null;
  ear_right: number | null;
  mar: number | null;
  eyes_closed: boolean | null;
  blink_count: number;
  perclos: number | null;
  drowsy: boolean | null;
  yawning: boolean | null;
  yawn_count: number;
  gaze_h: number | null;
  gaze_v: number | null;
  gaze: Gaze | null;
  yaw_deg: number | null;
  pitch_deg: number | null;
  roll_deg: number | null;
  head_pose: HeadPose | null;
  hand_raised: boolean | null;
  /** Both absent where expressions are not read. */
  emotion?: Emotion | null;
  emotion_scores?: Record<Emotion, number> | null;
  engagement: number | null;
  engagement_parts: Record<string, number> | null;
  state: State;
}

export interface StatusChanged {
  session_id: string;
  seq: number;
  state: State;
  insufficient_reason: InsufficientReason | null;
  hand_raised?: boolean | null;
  yawning: boolean | null;
}

/** One window of five seconds. What says something of emotions is absent where they are not inferred. */
export interface Prediction {
  session_id: string;
  window: number;
  from_ms: number;
  to_ms: number;
  change_score: number | null;
  cluster_id?: number;
  probe?: Quadrant;
  emotion?: string;
  color?: string;
}

export interface Consent {
  version: string;
  analysis: boolean;
  recording: boolean;
  emotion: boolean;
  live_view: boolean;
}

// Client → server.
export interface StartVideoSession {
  type: "start_video_session";
  studentId: string;
  lectureCode: string;
  frameWidth: number;
  frameHeight: number;
  fps: number;
  record: boolean;
  landmarks: boolean;
  consent: Consent;
}

// Server → client.
export interface ProcessingStartedAck {
  type: "processing_started_ack";
  sessionId: string;
  credit: number;
  maxFrameBytes: number;
  targetFps: number;
  resumeFromSeq: number;
}

export interface Ack {
  type: "ack";
  seq: number;
  credit: number;
}

export interface MetricsMessage {
  type: "metrics";
  latency_ms?: number;
  latencyMs?: number;
  data: FrameMetrics;
}

export interface StatusMessage {
  type: "status";
  data: StatusChanged;
}

export interface PredictionMessage {
  type: "prediction";
  data: Prediction;
}

export interface EngagementStatusUpdate {
  type: "engagement_status_update";
  lectureCode: string;
  isEnabled: boolean;
}

export interface RecordingMessage {
  type: "recording";
  enabled: boolean;
  active: boolean;
}

export interface ProcessingError {
  type: "processing_error";
  code: string;
  error: string;
  fatal: boolean;
}

export interface ProcessingEndedAck {
  type: "processing_ended_ack";
  frames: number;
  analyzed: number | null;
  skipped: number | null;
  durationMs: number;
  recordingId: string | null;
}

export type ServerMessage =
  | ProcessingStartedAck
  | Ack
  | MetricsMessage
  | StatusMessage
  | PredictionMessage
  | EngagementStatusUpdate
  | RecordingMessage
  | ProcessingError
  | ProcessingEndedAck;

// The instructor's socket.
export interface LiveSession {
  session_id: string;
  student_id: string;
  display_name: string;
  live: boolean;
  live_view: boolean;
  started_at_ms: number | null;
  metrics: FrameMetrics | null;
  prediction?: Prediction | null;
}

export interface Roster {
  type: "roster";
  lecture_code: string;
  engagement_enabled: boolean;
  sessions: LiveSession[];
}

export interface LiveMetrics {
  type: "metrics";
  latency_ms: number;
  data: FrameMetrics;
}

export type LiveMessage = Roster | LiveMetrics | PredictionMessage;

export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  policy: 1008,
  token: 4401,
  othersSession: 4403,
  unknownSession: 4404,
  replaced: 4409,
  ended: 4410,
} as const;

// REST bodies.
export interface User {
  user_id: string;
  username: string;
  display_name: string;
  role: Role;
}

export interface AccessToken {
  access_token: string;
  expires_in: number;
  user: User;
}

export interface Lecture {
  lecture_code: string;
  title: string;
  instructor_id: string;
  engagement_enabled: boolean;
  created_at_ms: number;
}

/** What this server measures beyond the rest. */
export interface Capabilities {
  emotion_inference: boolean;
}

export interface SessionCreated {
  session_id: string;
  stream_url: string;
  stream_token: string;
  expires_in: number;
}

export interface Recording {
  recording_id: string;
  session_id: string;
  lecture_code: string;
  status: "recording" | "completed" | "failed" | "deleted";
  started_at_ms: number;
  ended_at_ms: number | null;
  filename: string | null;
  duration_seconds: number | null;
  frame_count: number | null;
  file_size_bytes: number | null;
  error: string | null;
}
