// What the page says: a message in place of results, a short note, a line for screen readers.

import { find, findButton } from "./elements.js";

const TOAST_MILLISECONDS = 4000;

let toastTimer = 0;

/**
 * @param {string} title
 * @param {string} text
 * @param {{button?: string, action?: () => unknown, isProblem?: boolean}} options
 */
export function showMessage(title, text, { button = "", action, isProblem = false } = {}) {
  const message = find("message");
  message.classList.toggle("problem", isProblem);
  message.setAttribute("role", isProblem ? "alert" : "note");
  find("message-title").textContent = title;
  find("message-text").textContent = text;
  const pressed = findButton("message-button");
  pressed.hidden = !button;
  pressed.textContent = button;
  pressed.onclick = () => {
    hideMessage();
    action?.();
  };
  message.hidden = false;
}

export const hideMessage = () => { find("message").hidden = true; };

/**
 * Say something to screen readers.
 * @param {string} text
 */
export const announce = (text) => { find("status").textContent = text; };

/**
 * Show a note that goes away by itself.
 * @param {string} text
 */
export function toast(text) {
  announce(text);
  find("toast").textContent = text;
  find("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { find("toast").hidden = true; }, TOAST_MILLISECONDS);
}

/**
 * Show that the page waits for an answer.
 * @param {boolean} busy
 */
export function showBusy(busy) {
  find("progress").hidden = !busy;
  find("grid").setAttribute("aria-busy", String(busy));
  findButton("more").disabled = busy;
}
