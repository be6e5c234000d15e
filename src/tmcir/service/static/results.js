// The results: their cards, and moving between them by keyboard.

import { rate, startFrom } from "./actions.js";
import { find, make, makeSvg } from "./elements.js";
import { counted, known, linkOf, nameOf, priceOf } from "./gallery.js";
import { announce, showMessage } from "./messages.js";
import { thumbnail } from "./pictures.js";
import { clearFilters, currentWithout, isFiltered, lastStart, state, undo } from "./turns.js";

/** @typedef {import("./api.js").Hit} Hit */
/** @typedef {import("./api.js").Item} Item */

const SKELETON_CARDS = 8;
const WEAK = 0.05; // relevance below which results are called weak
const THUMB =
  "M8 11v9H4.5v-9zM8 11l3.6-7.2c1.5 0 2.3 1 2 2.4L13 9.4h5.4c1 0 1.7.9 1.5 1.9l-1.7 7.2c-.2.9-1 1.5-1.9 1.5H8";

/** @type {(id: string, others: string[]) => void} */
let openDetails = () => {};

/**
 * Call a function where a person asks for the details of a photo.
 * @param {(id: string, others: string[]) => void} listener
 */
export function onDetails(listener) {
  openDetails = listener;
}

/** How many results are shown, and where the next page begins (null: there is none). */
export const shown = { count: 0, nextOffset: /** @type {number | null} */ (null) };

/**
 * Show a page of results.
 * @param {import("./api.js").Search} answer
 * @param {boolean} append Whether it comes after what is shown.
 */
export function showHits(answer, append) {
  showCards(answer.hits, append);
  shown.nextOffset = answer.next_offset;
  const more = shown.nextOffset !== null;
  find("more").hidden = !more;
  find("heading").textContent = heading(answer.query.text, currentWithout());
  announce(shown.count ? `${counted(shown.count, "result")}${more ? " and more" : ""}` : "No results");
  showUnread(answer.query.unread);
  if (!shown.count) showNothingFound();
}

/**
 * Say which end of the text is too long for the model.
 * @param {string} text
 */
export function showUnread(text) {
  find("unread").hidden = !text;
  find("unread").textContent = text ? `Too long: “${text}” was not read.` : "";
}

/**
 * Show photos to start from.
 * @param {Item[]} items
 */
export function showItems(items) {
  showCards(items, false);
  find("more").hidden = true;
  shown.nextOffset = null;
}

/** Remove all results. */
export function clearResults() {
  find("grid").replaceChildren();
  find("heading").textContent = "";
  find("more").hidden = true;
}

/** Show empty cards while the first results are on their way. */
export function showSkeleton() {
  const blocks = Array.from({ length: SKELETON_CARDS }, () => {
    const block = make("li", { className: "skeleton" });
    block.setAttribute("aria-hidden", "true");
    return block;
  });
  find("grid").replaceChildren(...blocks);
  find("heading").textContent = "Searching…";
  find("more").hidden = true;
}

function showNothingFound() {
  if (isFiltered()) {
    const text = "No photo fits all of the filters. Remove one, or clear them.";
    const action = () => {
      clearFilters();
      find("heading").focus({ preventScroll: true });
    };
    showMessage("Nothing found", text, { button: "Clear filters", action });
  } else {
    const text = "There is no photo left. Undo the last step, or start a new search.";
    showMessage("Nothing found", text, { button: "Undo", action: undo });
  }
}

/**
 * @param {string} text
 * @param {string[]} without
 */
function heading(text, without) {
  const start = lastStart();
  const words = [text, without.length ? `without ${without.join(", ")}` : ""].filter(Boolean).join(", ");
  if (start && words) return `Like the picture, but ${words}`;
  if (start) return "Similar to the picture";
  return words ? `Results for “${words}”` : "Results";
}

/**
 * @param {(Item | Hit)[]} hits
 * @param {boolean} append
 */
function showCards(hits, append) {
  hits.forEach((hit) => known.set(hit.id, hit.metadata));
  const made = hits.map(card);
  const grid = find("grid");
  const weak = firstWeak(hits);
  const isMarked = append && grid.querySelector(".closest") !== null;
  if (weak >= 0 && !isMarked) made.splice(weak, 0, closestLine(!append && !weak));
  if (append) grid.append(...made);
  else grid.replaceChildren(...made);
  if (!append) activateCard(0);
  shown.count = append ? shown.count + hits.length : hits.length;
}

/**
 * Return the place of the first hit that is not close to the query; -1 where there is none, or where
 * the order is not that of relevance: sorted by a column, or found by words.
 * @param {(Item | Hit)[]} hits
 */
function firstWeak(hits) {
  const relevance = hits.map((hit) => ("relevance" in hit ? hit.relevance : 1));
  const isOrdered = relevance.every((one, place) => place === 0 || one <= relevance[place - 1]);
  return state.sort || !isOrdered ? -1 : relevance.findIndex((one) => one < WEAK);
}

/**
 * Return the line after which no photo is close to the query.
 * @param {boolean} isFirst Whether no photo is close at all.
 */
function closestLine(isFirst) {
  const textContent = isFirst
    ? "Nothing here is close to this. These come nearest."
    : "Nothing closer than this. What follows is only roughly alike.";
  return make("li", { className: "closest", textContent });
}

/** @param {Item | Hit} hit */
function card(hit) {
  const name = nameOf(hit.id);
  const picture = make("button", { type: "button", className: "picture" }, thumbnail(hit.id));
  picture.append(make("span", { textContent: "Start from this" }));
  picture.setAttribute("aria-label", `Start from ${name}`);
  picture.addEventListener("click", () => startFrom(hit.id));
  const title = make("button", { type: "button", className: "name", textContent: name });
  title.setAttribute("aria-label", `Details of ${name}`);
  title.addEventListener("click", () => openDetails(hit.id, othersOf(hit)));
  const caption = make("div", { className: "caption" }, title, ...offer(hit.id, name));
  if ("score" in hit) caption.append(underCard(hit, name));
  return make("li", { className: "card" }, picture, caption);
}

/**
 * Return the other photos of a hit's product.
 * @param {Item | Hit} hit
 */
const othersOf = (hit) => ("grouped" in hit ? [...hit.grouped, ...hit.duplicates] : []);

/**
 * Return the price, and a link to the product's page, where there are any.
 * @param {string} id
 * @param {string} name
 */
function offer(id, name) {
  const [price, address] = [priceOf(id), linkOf(id)];
  if (price === null && address === null) return [];
  const row = make("div", { className: "offer" });
  if (price !== null) row.append(make("span", { className: "price", textContent: price }));
  if (address !== null) {
    const link = make("a", { className: "shop", href: address, textContent: "View product" });
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.setAttribute("aria-label", `View product: ${name}`);
    row.append(link);
  }
  return [row];
}

/**
 * @param {Hit} hit
 * @param {string} name
 */
function underCard(hit, name) {
  const percent = `${Math.round(100 * hit.relevance)} %`;
  const score = make("span", { className: "score", textContent: percent });
  score.title = `How far it stands out of all photos; cosine ${hit.score.toFixed(2)}`;
  if (hit.grouped.length) {
    score.textContent += ` · ${hit.grouped.length + 1} photos`;
  }
  if (hit.duplicates.length) {
    score.textContent += ` · +${hit.duplicates.length}`;
    score.title += `; hidden: ${counted(hit.duplicates.length, "near-duplicate")}`;
  }
  return make(
    "div",
    { className: "under" },
    score,
    rateButton("Not like", name, "rate down", () => rate(hit.id, "less_like")),
    rateButton("More like", name, "rate", () => rate(hit.id, "more_like")),
  );
}

/**
 * @param {string} what
 * @param {string} name
 * @param {string} className
 * @param {() => void} action
 */
function rateButton(what, name, className, action) {
  const drawing = makeSvg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  drawing.append(makeSvg("path", { d: THUMB }));
  const button = make("button", { type: "button", className, title: `${what} this` }, drawing);
  button.setAttribute("aria-label", `${what} ${name}`);
  button.addEventListener("click", action);
  return button;
}

// By keyboard: Tab reaches one card at a time, arrow keys choose which

/** @returns {HTMLElement[]} */
const cards = () => [...find("grid").querySelectorAll(/** @type {"li"} */ (".card"))];

/** @param {number} index */
function activateCard(index) {
  cards().forEach((one, position) => {
    one.querySelectorAll("a").forEach((link) => { link.tabIndex = position === index ? 0 : -1; });
    one.querySelectorAll("button").forEach((button) => {
      button.tabIndex = position === index ? 0 : -1;
    });
  });
}

/**
 * Move the focus to a card.
 * @param {number} index
 */
export function focusCard(index) {
  activateCard(index);
  cards()[index]?.querySelector("button")?.focus();
}

/** Listen to keys and focus within the results. */
export function listenInGrid() {
  find("grid").addEventListener("keydown", moveInGrid);
  find("grid").addEventListener("focusin", ({ target }) => {
    const index = cards().findIndex((one) => target instanceof Node && one.contains(target));
    if (index >= 0) activateCard(index);
  });
}

/** @param {KeyboardEvent} event */
function moveInGrid(event) {
  const all = cards();
  const index = all.findIndex((one) => one.contains(document.activeElement));
  if (index < 0 || !document.activeElement?.classList.contains("picture")) return;
  const columns = getComputedStyle(find("grid")).gridTemplateColumns.split(" ").length;
  /** @type {Record<string, number>} */
  const targets = {
    ArrowRight: index + 1,
    ArrowLeft: index - 1,
    ArrowDown: index + columns,
    ArrowUp: index - columns,
    Home: 0,
    End: all.length - 1,
  };
  const target = targets[event.key];
  if (target !== undefined && target >= 0 && target < all.length) {
    event.preventDefault();
    focusCard(target);
  }
}
