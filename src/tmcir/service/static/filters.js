// The filters: chips for frequent values, ranges for numbers and dates.

import { find, make } from "./elements.js";
import { countOf, gallery, plainName, rangeFacets } from "./gallery.js";
import { setRange, state, toggleFilter } from "./turns.js";

/** @typedef {import("./api.js").Facet} Facet */

const SHOWN_VALUES = 8;

/** @type {(() => void)[]} */
let updates = []; // one a group of filters: shows what is chosen

/** Make the filters of the gallery. */
export function buildFilters() {
  updates = [];
  const ranges = new Set(rangeFacets());
  const groups = gallery.facets
    .filter((facet) => hasChips(facet) || ranges.has(facet))
    .map((facet) => facetGroup(facet, ranges.has(facet)));
  find("facets").replaceChildren(...groups);
}

/** Show which filters are in use. */
export function showFilters() {
  find("filters").hidden = !state.turns.length;
  find("deduplicate").setAttribute("aria-pressed", String(state.deduplicate));
  find("words").setAttribute("aria-pressed", String(state.words));
  find("words").hidden = gallery.words.length < 2; // ids alone are searched anyway
  find("group").hidden = gallery.roles.group === null;
  find("group").setAttribute("aria-pressed", String(state.group));
  updates.forEach((show) => show());
  const chosen = [...Object.entries(state.filters).flatMap(valueChips), ...rangeChips()];
  const count = chosen.length + Number(state.deduplicate);
  find("filter-count").hidden = !count;
  find("filter-count").textContent = String(count);
  find("chosen").hidden = !chosen.length;
  find("chosen").replaceChildren(...chosen.map((chip) => make("li", {}, chip)));
}

/** @param {Facet} facet */
function hasChips(facet) {
  const frequent = countOf(facet) >= gallery.photos / 3 && facet.values.length > 1;
  const { title, link, price } = gallery.roles;
  return frequent && ![title, link, price].includes(facet.name);
}

/**
 * @param {Facet} facet
 * @param {boolean} hasRange
 */
function facetGroup(facet, hasRange) {
  const label = plainName(facet.name);
  const badge = make("span", { className: "badge" });
  const summary = make("summary", { textContent: label }, badge);
  const group = make("details", { className: "facet" }, summary);
  group.dataset.column = facet.name;
  if (hasRange) group.append(rangeInputs(facet, label));
  if (hasChips(facet)) group.append(facetChips(facet, label));
  updates.push(() => {
    const count = (state.filters[facet.name]?.length ?? 0) + Number(facet.name in state.ranges);
    badge.hidden = !count;
    badge.textContent = String(count);
  });
  return group;
}

// Chips

/**
 * @param {Facet} facet
 * @param {string} label
 */
function facetChips(facet, label) {
  const chips = make("div", { className: "chips", role: "group" });
  chips.setAttribute("aria-label", label);
  const made = facet.values.flatMap(({ value, count }) => {
    if (value === null) return [];
    const chip = make("button", { type: "button", className: "chip", textContent: String(value) });
    chip.append(make("small", { textContent: count.toLocaleString() }));
    chip.addEventListener("click", () => toggleFilter(facet.name, value));
    return [{ chip, value }];
  });
  chips.append(...made.map(({ chip }) => chip));
  let shown = SHOWN_VALUES;
  const toggle = make("button", { type: "button", className: "chip toggle" });
  toggle.textContent = `${made.length - SHOWN_VALUES} more`;
  toggle.addEventListener("click", () => {
    shown = made.length;
    show();
    made[SHOWN_VALUES].chip.focus();
  });
  if (made.length > SHOWN_VALUES) chips.append(toggle);
  const show = () => {
    made.forEach(({ chip, value }, index) => {
      const pressed = state.filters[facet.name]?.includes(value) ?? false;
      chip.setAttribute("aria-pressed", String(pressed));
      chip.hidden = index >= shown && !pressed;
    });
    toggle.hidden = shown >= made.length;
  };
  updates.push(show);
  return chips;
}

// Ranges

/**
 * @param {Facet} facet
 * @param {string} label
 */
function rangeInputs(facet, label) {
  const inputs = ["from", "to"].map((side) => {
    const input = make("input", { type: facet.is_date ? "date" : "number" });
    if (!facet.is_date) input.step = "any";
    const bound = String((side === "from" ? facet.minimum : facet.maximum) ?? "");
    input.placeholder = bound;
    if (facet.is_date) input[side === "from" ? "min" : "max"] = bound.slice(0, 10);
    input.setAttribute("aria-label", `${label}, ${side}`);
    return input;
  });
  const [from, to] = inputs;
  inputs.forEach((input) => {
    input.addEventListener("change", () => {
      const whole = facet.kind === "integer";
      setRange(facet.name, rounded(from.value, whole, Math.ceil), rounded(to.value, whole, Math.floor));
    });
  });
  updates.push(() => {
    const range = state.ranges[facet.name] ?? { from: "", to: "" };
    if (from.value !== range.from) from.value = range.from;
    if (to.value !== range.to) to.value = range.to;
  });
  return make("div", { className: "range" }, from, make("span", { textContent: "to" }), to);
}

/**
 * Return a bound that a column of whole numbers can be compared with.
 * @param {string} value
 * @param {boolean} whole
 * @param {(value: number) => number} round
 */
const rounded = (value, whole, round) =>
  whole && /[.e]/i.test(value) ? String(round(Number(value))) : value;

// What is chosen

/** @param {[string, (string | number)[]]} entry */
const valueChips = ([column, values]) =>
  values.map((value) => chosenChip(column, String(value), () => toggleFilter(column, value)));

const rangeChips = () =>
  Object.entries(state.ranges).map(([column, { from, to }]) => {
    const words = from && to ? `${from} to ${to}` : from ? `from ${from}` : `up to ${to}`;
    const label = `${plainName(column)} ${words}`;
    return chosenChip(column, label, () => setRange(column, "", ""));
  });

/**
 * @param {string} column
 * @param {string} label
 * @param {() => void} remove
 */
function chosenChip(column, label, remove) {
  const chip = make("button", { type: "button", className: "chip", textContent: `${label}  ×` });
  chip.setAttribute("aria-label", `Remove the filter ${plainName(column)}: ${label}`);
  chip.addEventListener("click", () => {
    remove();
    find("heading").focus({ preventScroll: true });
  });
  return chip;
}
