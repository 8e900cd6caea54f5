import { Api, ApiError } from "./api";
import { h } from "./dom";
import type { AccessToken } from "./messages";
import { logo } from "./shell";

/** The first screen. `message` says why one is here again, e.g. after the login has expired. */
export function loginScreen(onLogin: (login: AccessToken) => void, message: string | null): HTMLElement {
  const username = h("input", {
    id: "username",
    name: "username",
    autocomplete: "username",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
  });
  const password = h("input", {
    id: "password",
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const problem = h("p", { class: "form-problem", role: "alert", id: "login-problem" }, message);
  const button = h("button", { class: "primary wide", type: "submit" }, "Log in");

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const missing = username.value.trim() === "" ? username : password.value === "" ? password : null;
    if (missing !== null) {
      problem.textContent = missing === username ? "Enter your user name." : "Enter your password.";
      missing.focus();
      return;
    }
    button.disabled = true;
    problem.textContent = "";
    try {
      onLogin(await Api.login(username.value.trim(), password.value));
    } catch (error) {
      const wrong = error instanceof ApiError && error.failure === "unauthorized";
      problem.textContent = wrong
        ? "User name or password is wrong. Check both and try again."
        : error instanceof Error
          ? error.message
          : "Something went wrong. Try again.";
      if (wrong) password.select();
    } finally {
      button.disabled = false;
    }
  }

  return h(
    "main",
    { class: "login", id: "main" },
    h(
      "form",
      { class: "card login-card", novalidate: true, onsubmit: (event) => void submit(event) },
      logo(),
      h("h1", {}, "Log in"),
      h("p", { class: "soft" }, "See live how attention goes: your own, or your class’s."),
      problem,
      h("div", { class: "field" }, h("label", { for: "username" }, "User name"), username),
      h("div", { class: "field" }, h("label", { for: "password" }, "Password"), password),
      button,
    ),
  );
}
