/** The instructor's screen: a lecture, its students as tiles, the class over time, and the engagement switch. */
import type { Api } from "./api";
import { ClassChart } from "./classchart";
import { h, icon, setText } from "./dom";
import { LiveFeed } from "./live";
import type { Lecture, LiveMessage, State } from "./messages";
import { applyMetrics, applyRoster, ATTENTION, byAttention, classSample, type Members } from "./roster";
import { announce, Notice } from "./shell";
import { Tile } from "./tiles";
import { percent, STATE_WORDS } from "./words";
import type { Preview } from "./wire";

const DRAW_MS = 250;
const SAMPLE_MS = 1_000;
/** Tiles change places no more often than this, so that one can look at them. */
const SORT_MS = 3_000;

export class InstructorView {
  readonly element: HTMLElement;
  private readonly notice = new Notice();
  private readonly lectures = h("select", { id: "lecture" });
  private readonly engagement = h("input", { type: "checkbox", role: "switch", id: "engagement-switch" });
  private readonly tiles = new Map<string, Tile>();
  private readonly grid = h("ul", { class: "tiles", "aria-label": "Students" });
  private readonly emptyText = h("p", { class: "soft empty" }, "Nobody is streaming in this lecture yet. Students appear here as soon as they start.");
  private readonly mean = h("strong", { id: "class-mean" });
  private readonly counts = new Map<State, HTMLElement>();
  private readonly summary: HTMLElement;
  private readonly chart = new ClassChart();
  private readonly live: HTMLElement;
  private readonly dialog: HTMLDialogElement;
  private readonly dialogProblem = h("p", { class: "form-problem", role: "alert" });
  private members: Members = new Map();
  private feed: LiveFeed | null = null;
  private sampledAtMs = 0;
  private sortedAtMs = 0;
  private retryAtMs: number | null = null;
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly onOnline = () => this.feed?.retryNow();

  constructor(
    private readonly api: Api,
    private readonly onExpired: () => void,
  ) {
    this.lectures.addEventListener("change", () => this.choose(this.lectures.value));
    this.engagement.addEventListener("change", () => void this.switchEngagement());
    this.summary = h(
      "div",
      { class: "summary" },
      h("div", { class: "stat" }, this.mean, h("span", { class: "soft" }, "mean engagement")),
      ...ATTENTION.map((state) => {
        const count = h("strong", { id: `count-${state}` }, "0");
        this.counts.set(state, count);
        return h("div", { class: "stat", "data-state": state }, count, h("span", { class: "soft" }, STATE_WORDS[state].toLowerCase()));
      }),
    );
    this.live = h("div", { class: "class", hidden: true }, this.summary, this.emptyText, this.grid, this.chart.element);
    this.dialog = this.newLectureDialog();
    this.element = h(
      "main",
      { class: "instructor", id: "main" },
      this.notice.element,
      h(
        "section",
        { class: "card lecture-bar", "aria-label": "Which lecture" },
        h("div", { class: "field" }, h("label", { for: "lecture" }, "Lecture"), this.lectures),
        h("button", { class: "secondary", type: "button", id: "new-lecture", onclick: () => this.dialog.showModal() }, icon("plus"), "New lecture"),
        h("label", { class: "switch", for: "engagement-switch" }, this.engagement, h("span", { class: "track", "aria-hidden": "true" }), "Measure engagement"),
      ),
      this.live,
      this.dialog,
    );
    window.addEventListener("online", this.onOnline);
    this.timer = setInterval(() => this.draw(), DRAW_MS);
    void this.load();
  }

  close(): void {
    clearInterval(this.timer);
    window.removeEventListener("online", this.onOnline);
    this.feed?.close();
    this.chart.close();
    this.clearTiles();
  }

  private async load(chosen: string | null = null): Promise<void> {
    let lectures: Lecture[];
    try {
      lectures = await this.api.lectures();
    } catch (error) {
      return this.notice.tell(error, { label: "Try again", run: () => void this.load(chosen) });
    }
    this.notice.clear();
    const wanted = chosen ?? decodeURIComponent(location.hash.slice(1));
    const code = lectures.some((each) => each.lecture_code === wanted) ? wanted : (lectures[0]?.lecture_code ?? null);
    this.lectures.replaceChildren(
      ...(lectures.length
        ? lectures.map((each) =>
            h("option", { value: each.lecture_code, selected: each.lecture_code === code }, `${each.title} (${each.lecture_code})`),
          )
        : [h("option", { value: "" }, "No lecture yet")]),
    );
    this.engagement.disabled = code === null;
    if (code === null) {
      this.notice.show("info", { title: "Welcome", advice: "Make your first lecture; students then choose it and start their cameras." });
    } else this.choose(code);
  }

  private choose(code: string): void {
    if (code === "") return;
    history.replaceState(null, "", `#${encodeURIComponent(code)}`);
    this.feed?.close();
    this.clearTiles();
    this.chart.clear();
    this.members = new Map();
    this.live.hidden = false;
    this.feed = new LiveFeed(this.api.liveSocketUrl(code), this);
  }

  // What the socket tells.

  message(message: LiveMessage): void {
    const nowMs = Date.now();
    if (message.type === "roster") {
      const before = this.members.size;
      this.members = applyRoster(this.members, message, nowMs);
      this.engagement.checked = message.engagement_enabled;
      this.sortedAtMs = 0;
      if (this.members.size !== before) announce(`${this.members.size} ${this.members.size === 1 ? "student is" : "students are"} streaming`);
      this.draw();
    } else if (message.type === "metrics") this.members = applyMetrics(this.members, message.data, nowMs);
  }

  preview(preview: Preview): void {
    if (this.members.get(preview.sessionId)?.session.live_view) this.tiles.get(preview.sessionId)?.setPreview(preview.jpeg);
  }

  connected(): void {
    if (this.retryAtMs === null) return;
    this.retryAtMs = null;
    this.notice.clear();
    announce("Connected again");
  }

  retrying(afterMs: number): void {
    this.retryAtMs = performance.now() + afterMs;
    this.notice.show(
      "waiting",
      { title: "Connection lost", advice: "Rapt tries again by itself. What you see is the last that was known." },
      { label: "Try now", run: () => this.feed?.retryNow() },
    );
  }

  refused(why: "token" | "not_yours"): void {
    if (why === "token") return this.onExpired();
    this.notice.show("problem", { title: "This lecture cannot be shown", advice: "It was removed, or it belongs to another instructor. Choose another one." });
  }

  // The page itself.

  private draw(): void {
    const nowMs = Date.now();
    if (this.retryAtMs !== null) {
      const leftS = Math.ceil((this.retryAtMs - performance.now()) / 1000);
      this.notice.setDetail(leftS > 0 ? `Next try in ${leftS} s.` : "Trying now…");
    }
    if (this.live.hidden) return;
    for (const [sessionId, tile] of this.tiles) {
      if (this.members.has(sessionId)) continue;
      tile.close();
      this.tiles.delete(sessionId);
    }
    for (const sessionId of this.members.keys()) {
      if (!this.tiles.has(sessionId)) this.tiles.set(sessionId, new Tile());
    }
    this.place(nowMs);
    for (const [sessionId, member] of this.members) this.tiles.get(sessionId)?.show(member, nowMs);
    this.emptyText.hidden = this.members.size > 0;
    this.showSummary(nowMs);
  }

  private place(nowMs: number): void {
    if (nowMs - this.sortedAtMs < SORT_MS) return;
    this.sortedAtMs = nowMs;
    const wanted = byAttention(this.members, nowMs);
    wanted.forEach((sessionId, index) => {
      const element = this.tiles.get(sessionId)?.element;
      if (element && this.grid.children[index] !== element) this.grid.insertBefore(element, this.grid.children[index] ?? null);
    });
  }

  private showSummary(nowMs: number): void {
    const sample = classSample(this.members, nowMs);
    setText(this.mean, percent(sample.meanEngagement));
    for (const [state, element] of this.counts) {
      setText(element, String(sample.counts[state]));
      element.parentElement?.classList.toggle("none", sample.counts[state] === 0);
    }
    if (nowMs - this.sampledAtMs >= SAMPLE_MS) {
      this.sampledAtMs = nowMs;
      this.chart.push(sample, nowMs);
    }
  }

  private async switchEngagement(): Promise<void> {
    const enabled = this.engagement.checked;
    this.engagement.disabled = true;
    try {
      await this.api.setEngagement(this.lectures.value, enabled);
      announce(enabled ? "Engagement is measured" : "Engagement is not measured");
    } catch (error) {
      this.engagement.checked = !enabled;
      this.notice.tell(error);
    } finally {
      this.engagement.disabled = false;
    }
  }

  private newLectureDialog(): HTMLDialogElement {
    const title = h("input", { id: "lecture-title", required: true, maxlength: 200, autocomplete: "off" });
    const code = h("input", { id: "lecture-code", maxlength: 128, autocomplete: "off", autocapitalize: "characters", spellcheck: "false" });
    const dialog = h("dialog", { class: "sheet", "aria-labelledby": "new-lecture-title" });
    const submit = async (event: Event) => {
      event.preventDefault();
      if (title.value.trim() === "") {
        this.dialogProblem.textContent = "Give the lecture a title.";
        return title.focus();
      }
      try {
        const lecture = await this.api.createLecture(title.value.trim(), code.value.trim() || null);
        dialog.close();
        title.value = code.value = this.dialogProblem.textContent = "";
        await this.load(lecture.lecture_code);
      } catch (error) {
        this.dialogProblem.textContent = error instanceof Error ? error.message : "This did not work.";
      }
    };
    dialog.append(
      h(
        "form",
        { novalidate: true, onsubmit: (event) => void submit(event) },
        h("h2", { id: "new-lecture-title" }, "New lecture"),
        h("div", { class: "field" }, h("label", { for: "lecture-title" }, "Title"), title),
        h(
          "div",
          { class: "field" },
          h("label", { for: "lecture-code" }, "Code ", h("span", { class: "soft" }, "(optional, e.g. PHYS-101)")),
          code,
        ),
        this.dialogProblem,
        h(
          "div",
          { class: "dialog-actions" },
          h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Cancel"),
          h("button", { class: "primary", type: "submit" }, "Make lecture"),
        ),
      ),
    );
    return dialog;
  }

  private clearTiles(): void {
    for (const tile of this.tiles.values()) tile.close();
    this.tiles.clear();
  }

}
