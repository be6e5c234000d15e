// The order of the results: the nearest first, or the relevant ones by a column.

import { findSelect, make } from "./elements.js";
import { gallery, plainName, rangeFacets } from "./gallery.js";
import { state, update } from "./turns.js";

/** @typedef {import("./api.js").Facet} Facet */

/** Offer the columns that can be sorted by. */
export function buildSorting() {
  const select = findSelect("sort");
  const relevant = make("option", { value: "", textContent: "Most relevant first" });
  select.replaceChildren(relevant, ...rangeFacets().sort(byRole).flatMap(options));
  select.onchange = () => update({ sort: select.value ? JSON.parse(select.value) : null });
}

/** Show which order the results have. */
export function showSorting() {
  const select = findSelect("sort");
  select.hidden = !state.turns.length || select.options.length < 2;
  select.value = state.sort ? optionValue(state.sort.column, state.sort.descending) : "";
}

/**
 * Put the price first.
 * @param {Facet} one
 * @param {Facet} other
 */
const byRole = (one, other) =>
  Number(other.name === gallery.roles.price) - Number(one.name === gallery.roles.price);

/** @param {Facet} facet */
function options(facet) {
  const words = facet.is_date
    ? { false: "oldest first", true: "newest first" }
    : { false: "low to high", true: "high to low" };
  return [false, true].map((descending) =>
    make("option", {
      value: optionValue(facet.name, descending),
      textContent: `${plainName(facet.name)}, ${words[`${descending}`]}`,
    }),
  );
}

/**
 * @param {string} column
 * @param {boolean} descending
 */
const optionValue = (column, descending) => JSON.stringify({ column, descending });
