// The filters: chips for the frequent values of every useful column.

import { find, make } from "./elements.js";
import { countOf, gallery, plainName } from "./gallery.js";
import { state, toggleFilter } from "./turns.js";

/** @typedef {import("./api.js").Facet} Facet */

const SHOWN_VALUES = 8;

/** Show the filters of the gallery, and which are in use. */
export function showFilters() {
  find("filters").hidden = !state.turns.length;
  find("deduplicate").setAttribute("aria-pressed", String(state.deduplicate));
  const count = Object.values(state.filters).flat().length + Number(state.deduplicate);
  find("filter-count").hidden = !count;
  find("filter-count").textContent = String(count);
  const focused = document.activeElement instanceof HTMLElement && document.activeElement.dataset.filter;
  showFacets();
  showChosen();
  if (focused) {
    const chips = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-filter]")]);
    chips.find((chip) => chip.dataset.filter === focused)?.focus();
  }
}

function showFacets() {
  const groups = /** @type {HTMLDetailsElement[]} */ ([...find("facets").children]);
  const opened = new Set(groups.filter((one) => one.open).map((one) => one.dataset.column));
  const made = usefulFacets().map((facet) => facetGroup(facet, opened.has(facet.name)));
  find("facets").replaceChildren(...made);
}

function usefulFacets() {
  return gallery.facets.filter((facet) => {
    const frequent = countOf(facet) >= gallery.photos / 3 && facet.values.length > 1;
    return facet.name !== gallery.nameColumn && frequent;
  });
}

/**
 * @param {Facet} facet
 * @param {boolean} open
 */
function facetGroup(facet, open) {
  const chosen = state.filters[facet.name] ?? [];
  const label = plainName(facet.name);
  const summary = make("summary", { textContent: label });
  if (chosen.length) {
    summary.append(make("span", { className: "badge", textContent: String(chosen.length) }));
  }
  const chips = make("div", { className: "chips", role: "group" });
  chips.setAttribute("aria-label", label);
  facet.values.forEach(({ value, count }, index) => {
    if (value === null) return;
    const chip = facetChip(facet.name, value, count);
    const pressed = chosen.includes(value);
    chip.setAttribute("aria-pressed", String(pressed));
    chip.hidden = index >= SHOWN_VALUES && !pressed;
    chips.append(chip);
  });
  addToggle(chips);
  const group = make("details", { className: "facet", open }, summary, chips);
  group.dataset.column = facet.name;
  return group;
}

/**
 * @param {string} column
 * @param {string | number} value
 * @param {number} count
 */
function facetChip(column, value, count) {
  const chip = make("button", { type: "button", className: "chip", textContent: String(value) });
  chip.append(make("small", { textContent: count.toLocaleString() }));
  chip.dataset.filter = JSON.stringify([column, value]);
  chip.addEventListener("click", () => toggleFilter(column, value));
  return chip;
}

/**
 * Add a button that shows the chips that are hidden.
 * @param {HTMLElement} chips
 */
function addToggle(chips) {
  const all = /** @type {HTMLElement[]} */ ([...chips.children]);
  const hidden = all.filter((chip) => chip.hidden);
  if (!hidden.length) return;
  const textContent = `${hidden.length} more`;
  const toggle = make("button", { type: "button", className: "chip toggle", textContent });
  toggle.addEventListener("click", () => {
    hidden.forEach((chip) => { chip.hidden = false; });
    toggle.remove();
    hidden[0].focus();
  });
  chips.append(toggle);
}

function showChosen() {
  const chosen = Object.entries(state.filters).flatMap(([column, values]) =>
    values.map((value) => chosenChip(column, value)),
  );
  find("chosen").hidden = !chosen.length;
  find("chosen").replaceChildren(...chosen);
}

/**
 * @param {string} column
 * @param {string | number} value
 */
function chosenChip(column, value) {
  const chip = make("button", { type: "button", className: "chip", textContent: `${value}  ×` });
  chip.setAttribute("aria-label", `Remove the filter ${plainName(column)}: ${value}`);
  chip.addEventListener("click", () => {
    toggleFilter(column, value);
    find("heading").focus({ preventScroll: true });
  });
  return make("li", {}, chip);
}
