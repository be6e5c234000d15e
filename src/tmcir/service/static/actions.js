// What people do with a photo.

import { find } from "./elements.js";
import { nameOf } from "./gallery.js";
import { toast } from "./messages.js";
import { addTurn } from "./turns.js";

/**
 * Start the next question from a photo.
 * @param {string} id
 */
export function startFrom(id) {
  addTurn({ item: id });
  find("text").focus({ preventScroll: true });
  window.scrollTo({ top: 0, behavior: "smooth" });
}

/**
 * Ask for results more like a photo, or less like it.
 * @param {string} id
 * @param {"more_like" | "less_like"} side
 */
export function rate(id, side) {
  addTurn({ [side]: [id] });
  find("heading").focus({ preventScroll: true });
  toast(`${side === "more_like" ? "More like" : "Less like"} ${nameOf(id)}`);
}
