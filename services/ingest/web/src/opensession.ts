/** The session under way, kept in sessionStorage so that a reload can go on with it. */
import type { SessionCreated } from "./messages";
import type { Choice } from "./setup";

const KEY = "rapt.session";

export interface OpenSession {
  created: SessionCreated;
  choice: Choice;
  startedAtMs: number;
  userId: string;
}

export function keepSession(open: OpenSession): void {
  sessionStorage.setItem(KEY, JSON.stringify(open));
}

export function forgetSession(): void {
  sessionStorage.removeItem(KEY);
}

/** The session that this user left open in this tab; another user's is forgotten. */
export function keptSession(userId: string): OpenSession | null {
  const stored = sessionStorage.getItem(KEY);
  if (stored === null) return null;
  const open = JSON.parse(stored) as OpenSession;
  if (open.userId === userId) return open;
  forgetSession();
  return null;
}
