/** What the student decides before the camera starts: lecture, consent, size of the pictures. */
import type { CaptureSettings } from "./capture";
import { h, icon } from "./dom";
import type { Consent, Lecture } from "./messages";

const LECTURE = "rapt.lecture";
const SIZES = ["160×120", "320×240", "480×360", "640×480"];
const CONSENT_VERSION = "1";

export interface Choice {
  lectureCode: string;
  consent: Consent;
  capture: CaptureSettings;
}

export class Setup {
  readonly element: HTMLElement;
  private readonly lecture = h("select", { id: "lecture", required: true });
  private readonly analysis = checkbox("consent-analysis");
  private readonly recording = checkbox("consent-recording");
  private readonly liveView = checkbox("consent-live-view");
  private readonly emotion = checkbox("consent-emotion");
  private readonly emotionLine = consentLine(this.emotion, "Read my expression", "Happy, sad, angry, surprised or neutral, from your face's movement. A guess, nothing more.");
  private readonly fps = h("input", { id: "fps", type: "number", min: 1, max: 30, step: 1, value: 10, inputmode: "numeric" });
  private readonly size = h("select", { id: "size" }, ...SIZES.map((size) => h("option", { value: size, selected: size === "320×240" }, size)));
  private readonly quality = h("input", { id: "quality", type: "range", min: 0.3, max: 0.95, step: 0.05, value: 0.7 });
  private readonly problem = h("p", { class: "form-problem", role: "alert", id: "setup-problem" });
  private readonly button = h("button", { class: "primary wide", type: "submit", id: "start" }, icon("camera"), "Start");

  constructor(private readonly onStart: (choice: Choice) => void) {
    const shown = h("output", { for: "quality" }, "0.70");
    this.quality.addEventListener("input", () => (shown.textContent = Number(this.quality.value).toFixed(2)));
    this.element = h(
      "form",
      { class: "card setup", novalidate: true, onsubmit: (event) => this.submit(event) },
      h("h2", {}, "Before you start"),
      h("div", { class: "field" }, h("label", { for: "lecture" }, "Lecture"), this.lecture),
      h(
        "fieldset",
        {},
        h("legend", {}, "What you agree to"),
        consentLine(this.analysis, "Measure my attention", "Needed. The numbers are kept; the pictures are gone within an hour."),
        consentLine(this.recording, "Record a video", "You find it here afterwards and can download it."),
        consentLine(this.liveView, "Show a small live picture to my instructor", "Otherwise a drawn face stands in for you."),
        this.emotionLine,
      ),
      h(
        "details",
        {},
        h("summary", {}, "Picture settings"),
        h(
          "div",
          { class: "field-row" },
          h("div", { class: "field" }, h("label", { for: "fps" }, "Pictures a second"), this.fps),
          h("div", { class: "field" }, h("label", { for: "size" }, "Size"), this.size),
          h("div", { class: "field" }, h("label", { for: "quality" }, "JPEG quality ", shown), this.quality),
        ),
      ),
      this.problem,
      this.button,
    );
    this.emotionLine.hidden = true;
    this.showLectures([]);
  }

  /** Asked only where the server reads expressions at all. */
  offerEmotion(offered: boolean): void {
    this.emotionLine.hidden = !offered;
    if (!offered) this.emotion.checked = false;
  }

  showLectures(lectures: Lecture[]): void {
    const remembered = this.lecture.value || sessionStorage.getItem(LECTURE);
    this.lecture.replaceChildren(
      ...(lectures.length
        ? lectures.map((each) =>
            h(
              "option",
              { value: each.lecture_code, selected: each.lecture_code === remembered },
              each.title === each.lecture_code ? each.title : `${each.title} (${each.lecture_code})`,
            ),
          )
        : [h("option", { value: "" }, "No lecture is open yet")]),
    );
  }

  setProblem(text: string): void {
    this.problem.textContent = text;
  }

  setBusy(busy: boolean): void {
    this.button.disabled = busy;
    this.button.lastChild!.textContent = busy ? "Starting…" : "Start";
  }

  private submit(event: Event): void {
    event.preventDefault();
    const fps = Number(this.fps.value);
    if (this.lecture.value === "") return this.refuse(this.lecture, "Choose a lecture. Your instructor opens one.");
    if (!this.analysis.checked) {
      return this.refuse(this.analysis, "Without “Measure my attention” Rapt can do nothing with your camera, so it stays off.");
    }
    if (!(fps >= 1 && fps <= 30)) {
      this.fps.closest("details")?.setAttribute("open", "");
      return this.refuse(this.fps, "Pictures a second: choose a number from 1 to 30.");
    }
    this.setProblem("");
    sessionStorage.setItem(LECTURE, this.lecture.value);
    const [width = 320, height = 240] = this.size.value.split("×").map(Number);
    this.onStart({
      lectureCode: this.lecture.value,
      consent: {
        version: CONSENT_VERSION,
        analysis: true,
        recording: this.recording.checked,
        emotion: this.emotion.checked,
        live_view: this.liveView.checked,
      },
      capture: { fps, width, height, quality: Number(this.quality.value) },
    });
  }

  private refuse(field: HTMLElement, text: string): void {
    this.setProblem(text);
    field.focus();
  }
}

function checkbox(id: string): HTMLInputElement {
  return h("input", { type: "checkbox", id });
}

function consentLine(box: HTMLInputElement, label: string, hint: string): HTMLElement {
  const hintId = `${box.id}-hint`;
  box.setAttribute("aria-describedby", hintId);
  return h("div", { class: "consent" }, box, h("div", {}, h("label", { for: box.id }, label), h("p", { class: "soft", id: hintId }, hint)));
}
