/** Who is logged in decides which screen is shown. The token lives in sessionStorage: it goes with the tab. */
import "./styles.css";
import { Api, ApiError } from "./api";
import { h } from "./dom";
import { InstructorView } from "./instructor";
import { loginScreen } from "./login";
import type { AccessToken, User } from "./messages";
import { header } from "./shell";
import { StudentView } from "./student";

const TOKEN = "rapt.token";

interface View {
  readonly element: HTMLElement;
  /** Lets go of camera, sockets and timers. */
  close(): void;
  /** The user chose to log out. */
  loggedOut?(): void;
}

const app = document.getElementById("app")!;
let view: View | null = null;

function showLogin(message: string | null = null): void {
  view?.close();
  view = null;
  app.replaceChildren(loginScreen(enter, message));
  app.querySelector<HTMLInputElement>("input")?.focus();
}

function enter(login: AccessToken): void {
  sessionStorage.setItem(TOKEN, login.access_token);
  showUser(login.access_token, login.user);
}

function logOut(): void {
  view?.loggedOut?.();
  sessionStorage.removeItem(TOKEN);
  showLogin();
}

function loginExpired(): void {
  sessionStorage.removeItem(TOKEN);
  showLogin("Your login has expired. Log in again to go on.");
}

function showUser(token: string, user: User): void {
  const api = new Api(token, loginExpired);
  view?.close();
  const shown = user.role === "student" ? new StudentView(api, user, loginExpired) : new InstructorView(api, loginExpired);
  view = shown;
  app.replaceChildren(h("a", { class: "skip", href: "#main" }, "Skip to the content"), header(user, logOut), shown.element);
}

async function boot(): Promise<void> {
  const token = sessionStorage.getItem(TOKEN);
  if (token === null) return showLogin();
  try {
    showUser(token, await new Api(token, () => undefined).me());
  } catch (error) {
    const known = error instanceof ApiError ? error : null;
    if (known?.failure === "unauthorized") loginExpired();
    else showLogin(known?.message ?? "Something went wrong. Log in again.");
  }
}

void boot();
