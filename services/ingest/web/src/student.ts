/** The student's screen: from the choice of a lecture to the recording, with everything that may go wrong between. */
import { type Api, ApiError, socketUrl } from "./api";
import { Camera, CameraError, type CaptureSettings } from "./capture";
import { h } from "./dom";
import { Measures } from "./measures";
import type { Consent, Prediction, ServerMessage, StartVideoSession, User } from "./messages";
import { MinuteChart } from "./minute";
import { forgetSession, keepSession, keptSession, type OpenSession } from "./opensession";
import type { Ending, Phase } from "./protocol";
import { Recordings } from "./recordings";
import { type Choice, Setup } from "./setup";
import { announce, Notice } from "./shell";
import { Stage } from "./stage";
import { Stream } from "./stream";
import { CAMERA_WORDS, duration, endingWords, errorWords, reasonWords, STATE_WORDS } from "./words";

/** How long a trouble is told that passes by itself. */
const PASSING_MS = 6_000;
const LOST = {
  title: "Connection lost",
  advice: "Rapt tries again by itself and goes on where it stopped. Check your network if it lasts.",
};
const PAUSED = {
  title: "Measuring is paused",
  advice: "Your instructor has switched it off for this lecture. No picture is sent until it is on again.",
};

export class StudentView {
  readonly element: HTMLElement;
  private readonly notice = new Notice();
  private readonly setup = new Setup((choice) => void this.begin(choice));
  private readonly stage = new Stage(() => this.stop());
  private readonly camera = new Camera(this.stage.video, () => this.cameraLost());
  private readonly recordings: Recordings;
  private readonly minute = new MinuteChart();
  private measures = new Measures();
  private prediction: Prediction | null = null;
  private stream: Stream | null = null;
  private open: OpenSession | null = null;
  private frame = 0;
  private retryAtMs: number | null = null;
  private endsByApi = false;
  private passing: { title: string; untilMs: number } | null = null;
  private readonly onOnline = () => this.stream?.retryNow();

  constructor(
    private readonly api: Api,
    private readonly user: User,
    private readonly onExpired: () => void,
  ) {
    this.recordings = new Recordings(api);
    this.element = h(
      "main",
      { class: "student", id: "main" },
      ...[this.notice, this.stage, this.setup, this.measures, this.minute, this.recordings].map((part) => part.element),
    );
    this.setLive(false);
    window.addEventListener("online", this.onOnline);
    this.animate();
    void this.load();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    window.removeEventListener("online", this.onOnline);
    this.stream?.leave();
    this.camera.close();
    this.minute.close();
    this.recordings.close();
  }

  /** Logging out ends the session too: nobody expects to be measured after it. */
  loggedOut(): void {
    const open = keptSession(this.user.user_id);
    forgetSession();
    if (open !== null) void this.api.endSession(open.created.session_id).catch(() => undefined);
  }

  private async load(): Promise<void> {
    void this.recordings.refresh();
    try {
      const [lectures, capabilities] = await Promise.all([this.api.lectures(), this.api.capabilities()]);
      this.setup.showLectures(lectures);
      this.setup.offerEmotion(capabilities.emotion_inference);
    } catch (error) {
      this.notice.tell(error, { label: "Try again", run: () => void this.load() });
      return;
    }
    const open = keptSession(this.user.user_id);
    if (open === null) return;
    this.notice.show(
      "info",
      { title: "Your session is still open", advice: `It was interrupted in ${open.choice.lectureCode}. Go on where it stopped, or end it.` },
      { label: "Go on", run: () => void this.goLive(open) },
      { label: "End it", run: () => void this.endOpen(open) },
    );
  }

  /** The lecture is asked for first: when it refuses, the camera stays off. */
  private async begin(choice: Choice): Promise<void> {
    this.setup.setBusy(true);
    this.notice.clear();
    try {
      const created = await this.api.createSession(choice.lectureCode, choice.consent.recording, choice.consent);
      const open = { created, choice, startedAtMs: Date.now(), userId: this.user.user_id };
      if (!(await this.goLive(open))) await this.api.endSession(created.session_id).catch(() => undefined);
    } catch (error) {
      this.notice.tell(error);
    } finally {
      this.setup.setBusy(false);
    }
  }

  /** Opens the camera, then the stream. False when there is no camera. */
  private async goLive(open: OpenSession): Promise<boolean> {
    const { created, choice } = open;
    this.stage.setShape(choice.capture);
    if (!(await this.openCamera(choice.capture))) return false;
    this.notice.clear();
    this.open = open;
    keepSession(open);
    this.freshMeasures();
    this.minute.clear();
    this.setLive(true);
    const url = socketUrl(created.stream_url, created.stream_token);
    this.stream?.leave();
    this.stream = new Stream(this.startMessage(choice.capture, choice.consent), this, () => new WebSocket(url));
    this.stream.start();
    this.capture(choice.capture);
    return true;
  }

  private async openCamera(capture: CaptureSettings): Promise<boolean> {
    try {
      await this.camera.open(capture);
      return true;
    } catch (error) {
      const problem = error instanceof CameraError ? error.problem : "other";
      this.notice.show("problem", CAMERA_WORDS[problem]);
      return false;
    }
  }

  private startMessage(capture: CaptureSettings, consent: Consent): StartVideoSession {
    return {
      type: "start_video_session",
      studentId: this.user.user_id,
      lectureCode: this.open?.choice.lectureCode ?? "",
      frameWidth: capture.width,
      frameHeight: capture.height,
      fps: capture.fps,
      record: consent.recording,
      landmarks: true,
      consent,
    };
  }

  private stop(): void {
    this.camera.close();
    this.stream?.stop();
  }

  private cameraLost(): void {
    const open = this.open;
    if (open === null) return;
    this.camera.close();
    this.notice.show("problem", CAMERA_WORDS.lost, { label: "Try the camera again", run: () => void this.cameraAgain(open) });
  }

  private async cameraAgain(open: OpenSession): Promise<void> {
    if (!(await this.openCamera(open.choice.capture))) return;
    this.notice.clear();
    this.capture(open.choice.capture);
  }

  private capture(settings: CaptureSettings): void {
    this.camera.capture(
      settings,
      (jpeg, capturedAtMs) => this.stream?.captured(jpeg, capturedAtMs),
      () => this.stream?.missed(),
    );
  }

  /** Ends a session over the REST API: without a stream, or when the stream is gone. */
  private async endOpen(open: OpenSession): Promise<void> {
    try {
      await this.api.endSession(open.created.session_id);
    } catch (error) {
      const known = error instanceof ApiError ? error : null;
      if (known?.failure !== "refused") {
        const title = "The session could not be ended";
        const advice = known?.message ?? "Something went wrong.";
        this.notice.show("problem", { title, advice }, { label: "End it", run: () => void this.endOpen(open) });
        return;
      }
    }
    forgetSession();
    this.notice.show("info", { title: "The session has ended", advice: this.recordingAdvice(open) });
    if (open.choice.consent.recording) void this.recordings.waitFor(open.created.session_id);
  }

  // What the stream tells.

  phase(phase: Phase): void {
    this.stage.setPhase(phase);
    if (phase === "live" && this.retryAtMs !== null) {
      this.retryAtMs = null;
      this.notice.clear(LOST.title);
      announce("Connected again");
    }
    if (phase === "waiting") this.minute.gap(Date.now());
  }

  retrying(afterMs: number): void {
    this.retryAtMs = performance.now() + afterMs;
    this.notice.show("waiting", LOST, { label: "Try now", run: () => this.stream?.retryNow() });
  }

  message(message: ServerMessage): void {
    switch (message.type) {
      case "metrics": {
        const { data } = message;
        const latencyMs = message.latencyMs ?? message.latency_ms ?? null;
        if (this.stream !== null) {
          this.measures.show({ metrics: data, latencyMs, counters: this.stream.counters, prediction: this.prediction });
        }
        this.stage.showMetrics(data);
        this.minute.push(data, Date.now());
        break;
      }
      case "status": {
        const reason = reasonWords(message.data.insufficient_reason);
        announce(STATE_WORDS[message.data.state] + (reason === null ? "" : `: ${reason}`));
        break;
      }
      case "prediction":
        this.prediction = message.data;
        break;
      case "recording":
        this.stage.setRecording(message.active);
        break;
      case "engagement_status_update":
        this.camera.paused = !message.isEnabled;
        if (message.isEnabled) this.notice.clear(PAUSED.title);
        else {
          this.notice.show("info", PAUSED);
          this.minute.gap(Date.now());
        }
        break;
      case "processing_error": {
        const told = message.fatal ? null : errorWords(message.code, message.error);
        if (told === null) break;
        this.notice.show("info", told);
        this.passing = { title: told.title, untilMs: performance.now() + PASSING_MS };
        break;
      }
    }
  }

  landmarks(landmarks: Parameters<Stage["showLandmarks"]>[0]): void {
    if (this.open !== null) this.stage.showLandmarks(landmarks, this.open.choice.capture);
  }

  endByApi(): void {
    if (this.open !== null) void this.endOpen(this.open);
    this.endsByApi = true;
  }

  finished(ending: Ending): void {
    const open = this.open;
    this.camera.close();
    this.setLive(false);
    this.retryAtMs = null;
    if (ending.why === "token") return this.onExpired();
    if (this.endsByApi) {
      this.endsByApi = false;
      return; // what comes of it is told then
    }
    forgetSession();
    const told = endingWords(ending);
    if (told !== null) {
      const back = { label: "Take it back", run: () => void (open && this.goLive(open)) };
      this.notice.show("problem", told, ...(ending.why === "replaced" ? [back] : []));
    } else if (ending.why === "stopped" && open !== null) {
      const { totals } = ending;
      const numbers = totals === null ? "" : `${duration(totals.durationMs / 1000)} min, ${totals.frames} pictures. `;
      this.notice.show("info", { title: "The session has ended", advice: numbers + this.recordingAdvice(open) });
    }
    if (open?.choice.consent.recording) void this.recordings.waitFor(open.created.session_id);
  }

  private recordingAdvice(open: OpenSession): string {
    return open.choice.consent.recording ? "The recording appears below in a moment." : "";
  }

  // The page itself.

  private setLive(live: boolean): void {
    this.element.classList.toggle("live", live);
    this.setup.element.hidden = live;
    this.measures.element.hidden = !live;
    this.minute.element.hidden = !live;
    this.stage.setPhase(live ? "connecting" : "idle");
    if (!live) this.stage.setRecording(false);
    (live ? this.element.querySelector<HTMLElement>("#stop") : null)?.focus();
  }

  private freshMeasures(): void {
    const fresh = new Measures();
    this.prediction = null;
    this.measures.element.replaceWith(fresh.element);
    this.measures = fresh;
  }

  private animate(): void {
    this.frame = requestAnimationFrame(() => {
      this.animate();
      this.stage.age(performance.now());
      if (this.passing !== null && performance.now() > this.passing.untilMs) {
        this.notice.clear(this.passing.title);
        this.passing = null;
      }
      if (this.retryAtMs !== null) {
        const leftS = Math.ceil((this.retryAtMs - performance.now()) / 1000);
        this.notice.setDetail(leftS > 0 ? `Next try in ${leftS} s.` : "Trying now…");
      }
      if (this.open === null || this.minute.element.hidden) return;
      const elapsedS = (Date.now() - this.open.startedAtMs) / 1000;
      this.stage.setPace(`${this.open.choice.lectureCode} · ${duration(elapsedS)}`);
      this.minute.draw(Date.now());
    });
  }
}
