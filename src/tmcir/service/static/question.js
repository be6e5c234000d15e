// The question: the picture it starts from, the steps so far, the balance of picture and words.

import { find, findButton, findImage, findInput, make } from "./elements.js";
import { nameOf } from "./gallery.js";
import { setThumbnail, thumbnail } from "./pictures.js";
import { currentTexts, isShareable, lastStart, state, update, uploads } from "./turns.js";

/** @typedef {import("./turns.js").Turn} Turn */

/** Show the search so far. */
export function showQuestion() {
  const asked = state.turns.length > 0;
  const start = lastStart();
  const composed = start !== undefined && currentTexts().length > 0;
  document.body.dataset.view = asked ? "results" : "start";
  find("new").hidden = find("trail-group").hidden = find("share").hidden = !asked;
  findButton("share").disabled = !isShareable();
  find("share").title = isShareable() ? "" : "Only searches from the gallery's own photos have a link";
  find("balance-group").hidden = find("why").hidden = !composed;
  showReference(start);
  showText(asked, start !== undefined);
  findInput("balance").value = String(state.turns.at(-1)?.balance ?? 0);
  describeBalance();
  showTrail();
}

/**
 * @param {boolean} asked
 * @param {boolean} pictured
 */
function showText(asked, pictured) {
  const labels = ["What are you looking for?", "Anything else?", "What should be different?"];
  find("text-label").textContent = labels[pictured ? 2 : Number(asked)];
  findInput("text").placeholder = asked ? "in navy, with long sleeves" : "a red summer dress";
  const refines = asked && (pictured || currentTexts().length > 0);
  find("submit").textContent = refines ? "Refine" : "Search";
}

/** @param {Turn | undefined} start */
function showReference(start) {
  find("choose").hidden = start !== undefined;
  find("shown").hidden = start === undefined;
  if (!start) return;
  const image = findImage("shown-image");
  const name = start.item ? nameOf(start.item) : "Your picture";
  image.alt = name;
  find("shown-name").textContent = name;
  image.removeAttribute("src");
  image.classList.remove("unseen");
  if (start.item) setThumbnail(image, start.item);
  else image.setAttribute("src", uploadAddress(start));
}

/** @param {Turn} turn */
export const uploadAddress = (turn) => uploads.get(turn.upload ?? 0)?.url ?? "";

/** Say the balance in words, for screen readers. */
export function describeBalance() {
  const value = Number(findInput("balance").value);
  const share = Math.round(Math.abs(value) * 100);
  const side = value < 0 ? "closer to the picture" : "closer to the words";
  find("balance").setAttribute("aria-valuetext", value === 0 ? "balanced" : `${share} % ${side}`);
}

function showTrail() {
  const trail = find("trail");
  trail.replaceChildren(...state.turns.map((turn, index) => make("li", {}, stepButton(turn, index))));
  trail.scrollLeft = trail.scrollWidth; // on a narrow screen it is one line: show the last step
}

/**
 * @param {Turn} turn
 * @param {number} index
 */
function stepButton(turn, index) {
  const [image, label] = stepParts(turn);
  const button = make("button", { type: "button", className: "step" });
  if (image) button.append(image);
  button.append(make("span", { textContent: label }));
  const last = index === state.turns.length - 1;
  const hint = `${last ? "Step" : "Back to step"} ${index + 1}: ${label}`;
  button.setAttribute("aria-label", hint);
  button.title = hint;
  if (last) button.setAttribute("aria-current", "step");
  else button.addEventListener("click", () => update({ turns: state.turns.slice(0, index + 1) }));
  return button;
}

/**
 * @param {Turn} turn
 * @returns {[HTMLImageElement | null, string]}
 */
function stepParts(turn) {
  if (turn.upload !== null) {
    return [make("img", { alt: "", src: uploadAddress(turn) }), wordsOf(turn) || "Your picture"];
  }
  if (turn.item) return [thumbnail(turn.item), wordsOf(turn) || nameOf(turn.item)];
  if (turn.more_like.length) return [thumbnail(turn.more_like[0]), "More like this"];
  if (turn.less_like.length) return [thumbnail(turn.less_like[0]), "Not like this"];
  return [null, wordsOf(turn)];
}

/** @param {Turn} turn */
const wordsOf = ({ text, without }) =>
  [text, without.length ? `without ${without.join(", ")}` : ""].filter(Boolean).join(", ");
