/** What the page says, in plain words. */
import type { CameraProblem } from "./capture";
import type { Direction, Emotion, FrameMetrics, Gaze, HeadPose, InsufficientReason, Prediction, Quadrant, State } from "./messages";
import type { Ending } from "./protocol";

export const MISSING = "—";

export const STATE_WORDS: Record<State, string> = {
  engaged: "Engaged",
  distracted: "Distracted",
  drowsy: "Drowsy",
  absent: "Absent",
  unknown: "Not clear",
};

const REASON_WORDS: Record<InsufficientReason, string> = {
  no_face: "no face in the picture",
  face_small: "the face is too small",
  dark: "the picture is too dark",
  blurred: "the picture is blurred",
  turned_away: "the face is turned away",
  several_faces: "more than one face in the picture",
};

const REASON_ADVICE: Record<InsufficientReason, string> = {
  no_face: "Sit in front of the camera.",
  face_small: "Come a little closer.",
  dark: "Turn on a light in front of you.",
  blurred: "Wipe the lens, or hold still for a moment.",
  turned_away: "Face the camera for a moment.",
  several_faces: "Only you should be in the picture.",
};

/** Why a value is missing, or null where nothing is. A server may know reasons that this page does not. */
export function reasonWords(reason: InsufficientReason | null): string | null {
  return reason === null ? null : (REASON_WORDS[reason] ?? String(reason).replaceAll("_", " "));
}

export function reasonAdvice(reason: InsufficientReason | null): string {
  return reason === null ? "" : (REASON_ADVICE[reason] ?? "");
}

/** Why a single value of a frame is missing. */
export function missingWhy(metrics: FrameMetrics | null): string {
  if (metrics === null) return "nothing measured yet";
  return reasonWords(metrics.insufficient_reason) ?? "not measurable right now";
}

/** Whose side is named: the person's own (the student), or that of the picture as sent (who looks at a student). */
export type Viewpoint = "own" | "image";

const SIDE: Record<Viewpoint, Record<Direction, string>> = {
  // The picture as sent is not mirrored: image left is the person's right.
  own: { left: "to your right", right: "to your left", up: "up", down: "down" },
  image: { left: "image left", right: "image right", up: "up", down: "down" },
};

export function gazeWords(gaze: Gaze | null, viewpoint: Viewpoint): string {
  if (gaze === null) return MISSING;
  return gaze === "center" ? "at the screen" : SIDE[viewpoint][gaze];
}

export function headWords(pose: HeadPose | null, viewpoint: Viewpoint): string {
  if (pose === null) return MISSING;
  if (pose === "forward") return "facing forward";
  return pose === "tilted" ? "tilted" : SIDE[viewpoint][pose];
}

export const EMOTION_WORDS: Record<Emotion, string> = {
  neutral: "neutral",
  happy: "smiling",
  sad: "sad",
  angry: "frowning",
  surprised: "surprised",
};

const QUADRANT_WORDS: Record<Quadrant, string> = {
  HH: "lively, at ease",
  HL: "lively, ill at ease",
  LH: "calm, at ease",
  LL: "calm, ill at ease",
};

/** Clusters of behaviour alone, where nothing is inferred from expressions. */
const CLUSTER_WORDS: Record<number, string> = {
  4: "still, looking away",
  5: "still, attentive",
  6: "lively, looking away",
  7: "lively, attentive",
};

/** What a window of five seconds was like. */
export function predictionWords(prediction: Prediction): string {
  if (prediction.probe !== undefined) return QUADRANT_WORDS[prediction.probe] ?? prediction.probe;
  if (prediction.cluster_id === undefined) return MISSING;
  return CLUSTER_WORDS[prediction.cluster_id] ?? `pattern ${prediction.cluster_id}`;
}

/** What each part of engagement is. The parts that this page does not know show their name alone. */
export const PART_WORDS: Record<string, string> = {
  presence: "you are in the picture",
  eyes: "open, over the last minute",
  gaze: "head and eyes towards the screen",
  head: "turned to the camera",
};

export function number(value: number | null | undefined, digits = 0, unit = ""): string {
  return value === null || value === undefined || !Number.isFinite(value) ? MISSING : value.toFixed(digits) + unit;
}

export function percent(share: number | null | undefined): string {
  return share === null || share === undefined || !Number.isFinite(share) ? MISSING : `${Math.round(share * 100)} %`;
}

/** 75 → "1:15". */
export function duration(seconds: number | null): string {
  if (seconds === null) return MISSING;
  const whole = Math.round(seconds);
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  return `${minutes}:${String(rest).padStart(2, "0")}`;
}

export function fileSize(bytes: number | null): string {
  if (bytes === null) return MISSING;
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export interface Told {
  title: string;
  /** What to do now. */
  advice: string;
}

export const CAMERA_WORDS: Record<CameraProblem, Told> = {
  denied: {
    title: "The camera is blocked",
    advice:
      "Rapt may not use your camera. Click the camera sign beside the address, choose “Allow”, and press Start again.",
  },
  none: {
    title: "No camera was found",
    advice: "Plug in a webcam or switch on the built-in one, then press Start again.",
  },
  in_use: {
    title: "The camera is in use",
    advice: "Another program holds the camera. Close video calls and other pages that use it, then press Start again.",
  },
  insecure: {
    title: "The browser keeps the camera from this address",
    advice: "Cameras work on https:// addresses and on localhost only. Open Rapt through one of these.",
  },
  lost: {
    title: "The camera has stopped",
    advice: "It was unplugged or switched off. Connect it and press “Try the camera again”; your session is still open.",
  },
  other: {
    title: "The camera did not start",
    advice: "Reload the page and try again. If it happens again, restart the browser.",
  },
};

/** What a passing `processing_error` means to the student; null when it is nothing to act on. */
export function errorWords(code: string, error: string): Told | null {
  switch (code) {
    case "clock_jumped": // the server bridges it
      return null;
    case "unavailable":
      return { title: "The service is slow", advice: "Your pictures are kept and sent as soon as it can take them." };
    default:
      return { title: "A picture was not taken", advice: `${error}.` };
  }
}

/** How an ended stream is told; null when the student ended it. */
export function endingWords(ending: Ending): Told | null {
  switch (ending.why) {
    case "stopped":
      return null;
    case "token":
      return { title: "Your login has expired", advice: "Log in again to go on." };
    case "forbidden":
      return { title: "This session belongs to someone else", advice: "Start a session of your own." };
    case "unknown_session":
      return { title: "This session is not there any more", advice: "Start a new one." };
    case "replaced":
      return {
        title: "Your session goes on in another window",
        advice: "It was opened in a newer tab or on another device, so this page has let go. You can take it back here.",
      };
    case "ended":
      return { title: "The session has ended", advice: "It was ended elsewhere, or no picture came for a while. Start a new one to go on." };
    case "refused":
      return {
        title: "The server has closed the connection",
        advice: `It said: ${ending.detail ?? "too many pictures could not be read"}. Start again; if it happens again, reload the page.`,
      };
  }
}
