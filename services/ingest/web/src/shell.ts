/** The frame around every screen: header, main, notices, and the one live region that speaks to screen readers. */
import { ApiError, type Failure } from "./api";
import { h, icon, setText, svg } from "./dom";
import type { User } from "./messages";
import type { Told } from "./words";

export function logo(): HTMLElement {
  const mark = svg(
    "svg",
    { viewBox: "0 0 32 32", width: 32, height: 32, "aria-hidden": "true" },
    svg("rect", { width: 32, height: 32, rx: 9, class: "logo-ground" }),
    svg("path", { d: "M5 16c3.2-5 7-7.4 11-7.4S23.8 11 27 16c-3.2 5-7 7.4-11 7.4S8.2 21 5 16z", class: "logo-eye" }),
    svg("circle", { cx: 16, cy: 16, r: 3.8, class: "logo-iris" }),
  );
  return h("span", { class: "logo" }, mark, "Rapt");
}

export function header(user: User, onLogout: () => void): HTMLElement {
  const role = user.role === "student" ? "Student" : user.role === "instructor" ? "Instructor" : "Administrator";
  return h(
    "header",
    { class: "top" },
    logo(),
    h(
      "div",
      { class: "who" },
      h("span", { class: "who-name" }, user.display_name),
      user.display_name.toLowerCase() === role.toLowerCase() ? null : h("span", { class: "who-role" }, role),
    ),
    h("button", { class: "quiet", type: "button", id: "logout", onclick: onLogout }, icon("logout"), "Log out"),
  );
}

/** Says a change aloud, politely; the same text twice in a row is said once. */
export function announce(text: string): void {
  const region = document.getElementById("announcer");
  if (region !== null) setText(region, text);
}

const FAILURE_TITLES: Record<Failure, string> = {
  network: "No connection",
  unavailable: "Service unavailable",
  unauthorized: "Your login has expired",
  refused: "This did not work",
};

export interface NoticeAction {
  label: string;
  run: () => void;
}

/** One message to the user at a time, the newest; problems are alerts. */
export class Notice {
  readonly element = h("div", { class: "notices", role: "alert" });
  private readonly detail = h("span", { class: "notice-detail", "aria-hidden": "true" });
  private shownKey: string | null = null;

  show(kind: "problem" | "waiting" | "info", told: Told, ...actions: NoticeAction[]): void {
    const key = [kind, told.title, told.advice, ...actions.map((action) => action.label)].join("\n");
    if (key === this.shownKey) return; // showing it again would make a screen reader say it again
    this.shownKey = key;
    this.detail.textContent = "";
    const buttons = actions.map((action) =>
      h("button", { type: "button", class: "secondary", onclick: () => action.run() }, action.label),
    );
    this.element.replaceChildren(
      h(
        "div",
        { class: `notice ${kind}` },
        kind === "info" ? null : icon("warning"),
        h(
          "div",
          { class: "notice-text" },
          h("strong", {}, told.title),
          h("p", {}, told.advice, " ", this.detail),
        ),
        buttons.length ? h("div", { class: "notice-actions" }, ...buttons) : null,
      ),
    );
  }

  /** Tells a failed call. An expired login is told elsewhere: the page goes back to the login. */
  tell(error: unknown, ...actions: NoticeAction[]): void {
    const known = error instanceof ApiError ? error : null;
    if (known?.failure === "unauthorized") return;
    const advice = known?.message ?? "Something went wrong. Reload the page and try again.";
    this.show("problem", { title: known === null ? "This did not work" : FAILURE_TITLES[known.failure], advice }, ...actions);
  }

  /** A running detail, such as a countdown, that is seen and not spoken. */
  setDetail(text: string): void {
    setText(this.detail, text);
  }

  /** Takes the notice away; with a title only if it is that one, so that what came since stays. */
  clear(title?: string): void {
    if (title !== undefined && !this.shownKey?.split("\n", 2).includes(title)) return;
    this.shownKey = null;
    this.element.replaceChildren();
  }
}
