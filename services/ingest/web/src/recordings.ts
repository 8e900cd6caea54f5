/** One's own recordings: a list with thumbnails, a player, a download. */
import { type Api, ApiError } from "./api";
import { h, icon } from "./dom";
import type { Recording } from "./messages";
import { duration, fileSize } from "./words";

const POLL_MS = 1_500;
const POLLS = 20;

export class Recordings {
  readonly element: HTMLElement;
  private readonly list = h("ul", { class: "recordings" });
  private readonly empty = h("p", { class: "soft" }, "None yet. Tick “Record a video” before you start, and it appears here.");
  private readonly dialog: HTMLDialogElement;
  private readonly player = h("video", { controls: true, playsinline: true, preload: "auto", id: "player" });
  private readonly playerTitle = h("h2", { id: "player-title" });
  private readonly playerProblem = h("p", { class: "form-problem", role: "alert" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private shown = "";

  constructor(private readonly api: Api) {
    const closeButton = h("button", { class: "quiet", type: "button", "aria-label": "Close the player", onclick: () => this.dialog.close() }, icon("close"));
    this.dialog = h(
      "dialog",
      { class: "player", "aria-labelledby": "player-title" },
      h("div", { class: "player-top" }, this.playerTitle, closeButton),
      this.player,
      this.playerProblem,
    );
    this.dialog.addEventListener("close", () => {
      this.player.pause();
      this.player.removeAttribute("src");
      this.player.load();
    });
    this.player.addEventListener("error", () => {
      if (this.player.hasAttribute("src")) this.playerProblem.textContent = "This recording cannot be played here. Download it instead.";
    });
    this.element = h("section", { class: "card" }, h("h2", {}, "Your recordings"), this.empty, this.list, this.dialog);
  }

  async refresh(): Promise<Recording[]> {
    try {
      const recordings = (await this.api.recordings())
        .filter((each) => each.status !== "deleted")
        .sort((a, b) => b.started_at_ms - a.started_at_ms);
      this.show(recordings);
      return recordings;
    } catch (error) {
      this.empty.hidden = false;
      this.empty.textContent = error instanceof ApiError ? error.message : "The list could not be read.";
      return [];
    }
  }

  /** Looks again until the session's recording is finished. */
  async waitFor(sessionId: string, tries = POLLS): Promise<void> {
    clearTimeout(this.timer);
    const recordings = await this.refresh();
    const done = recordings.some((each) => each.session_id === sessionId && each.status !== "recording");
    if (!done && tries > 0) this.timer = setTimeout(() => void this.waitFor(sessionId, tries - 1), POLL_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    if (this.dialog.open) this.dialog.close();
  }

  private show(recordings: Recording[]): void {
    const key = JSON.stringify(recordings);
    if (key === this.shown) return; // keeps focus and thumbnails where they are
    this.shown = key;
    this.empty.hidden = recordings.length > 0;
    this.list.replaceChildren(...recordings.map((each) => this.item(each)));
  }

  private item(recording: Recording): HTMLElement {
    const when = new Date(recording.started_at_ms);
    const title = when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const ready = recording.status === "completed";
    const facts = ready
      ? `${recording.lecture_code} · ${duration(recording.duration_seconds)} · ${fileSize(recording.file_size_bytes)}`
      : recording.status === "failed"
        ? `${recording.lecture_code} · could not be finished${recording.error ? `: ${recording.error}` : ""}`
        : `${recording.lecture_code} · being written…`;
    const picture = h("div", { class: "thumbnail" });
    if (ready) {
      const image = h("img", { src: this.api.recordingThumbnail(recording.recording_id), alt: "", loading: "lazy" });
      image.addEventListener("error", () => image.remove());
      picture.append(image);
    }
    return h(
      "li",
      { class: "recording", "data-status": recording.status },
      picture,
      h("div", { class: "recording-text" }, h("strong", {}, title), h("span", { class: "soft" }, facts)),
      ready &&
        h(
          "div",
          { class: "recording-actions" },
          h("button", { class: "secondary", type: "button", "aria-label": `Play the recording of ${title}`, onclick: () => this.play(recording, title) }, icon("play"), "Play"),
          h(
            "a",
            { class: "button quiet", href: this.api.recordingFile(recording.recording_id), download: recording.filename ?? "recording.mp4", "aria-label": `Download the recording of ${title}` },
            icon("download"),
            "Download",
          ),
        ),
    );
  }

  private play(recording: Recording, title: string): void {
    this.playerTitle.textContent = title;
    this.playerProblem.textContent = "";
    this.player.src = this.api.recordingFile(recording.recording_id);
    this.dialog.showModal();
    void this.player.play().catch(() => undefined); // the controls are there
  }
}
