/** The REST API under `/api`. Every failure becomes an `ApiError` whose text can be shown as it is. */
import type { AccessToken, Capabilities, FrameMetrics, Lecture, Recording, SessionCreated, Consent, User } from "./messages";

export type Failure = "network" | "unavailable" | "unauthorized" | "refused";

export class ApiError extends Error {
  constructor(
    readonly failure: Failure,
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The base of all addresses, from where the page itself was loaded. */
export function apiUrl(path: string): URL {
  return new URL(`api/${path.replace(/^\//, "")}`, document.baseURI);
}

/** A WebSocket's address on this host. `path` starts with `/`. */
export function socketUrl(path: string, token: string): string {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("token", token);
  return url.href;
}

export async function readFailure(response: Response): Promise<ApiError> {
  let detail = "";
  try {
    const problem: unknown = await response.json();
    if (typeof problem === "object" && problem !== null && "detail" in problem) detail = String(problem.detail);
  } catch {
    // Not problem details: a proxy answered. The status says enough.
  }
  if (response.status === 401) return new ApiError("unauthorized", 401, detail || "The login has expired.");
  if (response.status >= 500 || response.status === 429) {
    return new ApiError(
      "unavailable",
      response.status,
      "The service is not available right now. Wait a moment, then try again.",
    );
  }
  return new ApiError("refused", response.status, detail || `The server refused this (${response.status}).`);
}

export class Api {
  constructor(
    private readonly token: string,
    private readonly onUnauthorized: () => void,
  ) {}

  static async login(username: string, password: string): Promise<AccessToken> {
    return (await send("POST", "login", { username, password }, null)) as AccessToken;
  }

  me = () => this.call("GET", "me") as Promise<User>;

  capabilities = () => this.call("GET", "capabilities") as Promise<Capabilities>;

  lectures = async (): Promise<Lecture[]> => list<Lecture>(await this.call("GET", "lectures"), "lectures");

  createLecture = (title: string, lectureCode: string | null) =>
    this.call("POST", "lectures", { title, ...(lectureCode ? { lecture_code: lectureCode } : {}) }) as Promise<Lecture>;

  setEngagement = (lectureCode: string, enabled: boolean) =>
    this.call("PUT", `lectures/${encodeURIComponent(lectureCode)}/engagement`, { enabled });

  createSession = (lectureCode: string, record: boolean, consent: Consent) =>
    this.call("POST", "sessions", { lecture_code: lectureCode, record, consent }) as Promise<SessionCreated>;

  endSession = (sessionId: string) => this.call("POST", `sessions/${encodeURIComponent(sessionId)}/end`);

  metrics = async (sessionId: string, fromMs: number, stepMs: number): Promise<FrameMetrics[]> => {
    const path = `sessions/${encodeURIComponent(sessionId)}/metrics?from_ms=${Math.round(fromMs)}&step_ms=${stepMs}`;
    return list<FrameMetrics>(await this.call("GET", path), "metrics");
  };

  recordings = async (): Promise<Recording[]> => list<Recording>(await this.call("GET", "recordings/"), "recordings");

  /** Addresses for elements that cannot send a header: the token goes along in the query. */
  recordingFile = (recordingId: string) => this.fileUrl(`recordings/${encodeURIComponent(recordingId)}/download`);
  recordingThumbnail = (recordingId: string) => this.fileUrl(`recordings/${encodeURIComponent(recordingId)}/thumbnail`);

  liveSocketUrl = (lectureCode: string) =>
    socketUrl(apiUrl(`lectures/${encodeURIComponent(lectureCode)}/live`).pathname, this.token);

  private fileUrl(path: string): string {
    const url = apiUrl(path);
    url.searchParams.set("token", this.token);
    return url.href;
  }

  private async call(method: string, path: string, body?: unknown): Promise<unknown> {
    try {
      return await send(method, path, body, this.token);
    } catch (error) {
      if (error instanceof ApiError && error.failure === "unauthorized") this.onUnauthorized();
      throw error;
    }
  }
}

async function send(method: string, path: string, body: unknown, token: string | null): Promise<unknown> {
  const headers: Record<string, string> = {};
  if (token !== null) headers["authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(apiUrl(path), {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError("network", 0, "Rapt cannot be reached. Check your connection, then try again.");
  }
  if (!response.ok) throw await readFailure(response);
  return response.status === 204 ? null : await response.json();
}

function list<T>(answer: unknown, key: string): T[] {
  if (Array.isArray(answer)) return answer as T[];
  const inner = (answer as Record<string, unknown> | null)?.[key];
  return Array.isArray(inner) ? (inner as T[]) : [];
}
