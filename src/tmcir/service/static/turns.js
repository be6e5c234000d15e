// The search as data: turns, filters, and what the address and the history keep of them.
//
// The page keeps all of it; the service remembers nothing. Whoever shows the search listens with
// `onChange`.

/**
 * A step of the search, as in the API, except that `upload` is the number of a picture in
 * `uploads` (the API takes one picture, and true).
 * @typedef {object} Turn
 * @property {string | null} item
 * @property {number | null} upload
 * @property {string} text
 * @property {number} balance
 * @property {string[]} more_like
 * @property {string[]} less_like
 * @property {string[]} without What results are to be without, in words.
 */

/** @typedef {Record<string, (string | number)[]>} Filters Chosen values by column. */

/** @typedef {Record<string, {from: string, to: string}>} Ranges "" where a side is open. */

/**
 * @typedef {object} State
 * @property {Turn[]} turns
 * @property {Filters} filters
 * @property {Ranges} ranges
 * @property {boolean} deduplicate
 * @property {boolean} words Whether words of titles and descriptions count in the ranking.
 * @property {boolean} group Whether each product is one tile.
 * @property {{column: string, descending: boolean} | null} sort null: the nearest first.
 */

const WITHOUT_WEIGHT = -0.5; // as of `tmcir search --not`

/** @type {Omit<State, "turns">} */
const UNFILTERED = {
  filters: {},
  ranges: {},
  deduplicate: false,
  words: false,
  group: true,
  sort: null,
};

/** @type {State} */
export const state = { turns: [], ...UNFILTERED };

/** @type {Map<number, {blob: Blob, url: string}>} */
export const uploads = new Map();

/** @type {() => void} */
let changed = () => {};

/**
 * Call a function after every change of the search.
 * @param {() => void} listener
 */
export function onChange(listener) {
  changed = listener;
}

/**
 * Change the search.
 * @param {Partial<State>} part
 * @param {{replace?: boolean}} options Whether the change replaces the last entry of the history.
 */
export function update(part, { replace = false } = {}) {
  Object.assign(state, part);
  remember(replace);
  changed();
}

/** Take back the last step without a new search: its picture was not accepted. */
export function dropLastTurn() {
  state.turns = state.turns.slice(0, -1);
  remember(true);
}

/** @param {Partial<Turn>} turn */
export function addTurn(turn) {
  const starts = turn.item || turn.upload;
  const last = state.turns.at(-1);
  const blank = { item: null, upload: null, text: "", balance: starts ? 0 : (last?.balance ?? 0) };
  const added = { ...blank, more_like: [], less_like: [], without: [], ...turn };
  update({ turns: [...state.turns, added] });
}

/** @param {number} balance */
export function setBalance(balance) {
  const last = state.turns.at(-1);
  if (last) update({ turns: [...state.turns.slice(0, -1), { ...last, balance }] }, { replace: true });
}

/**
 * Choose a value of a column, or drop it where it is chosen.
 * @param {string} column
 * @param {string | number} value
 */
export function toggleFilter(column, value) {
  const before = state.filters[column] ?? [];
  const after = before.includes(value) ? before.filter((one) => one !== value) : [...before, value];
  const { [column]: _, ...others } = state.filters;
  update({ filters: after.length ? { ...others, [column]: after } : others });
}

/**
 * Keep what lies between two values of a column; "" leaves a side open.
 * @param {string} column
 * @param {string} from
 * @param {string} to
 */
export function setRange(column, from, to) {
  const before = state.ranges[column] ?? { from: "", to: "" };
  if (before.from === from && before.to === to) return;
  const { [column]: _, ...others } = state.ranges;
  update({ ranges: from || to ? { ...others, [column]: { from, to } } : others });
}

/** Whether anything is filtered. */
export const isFiltered = () =>
  Object.keys(state.filters).length + Object.keys(state.ranges).length > 0;

export const clearFilters = () => update({ filters: {}, ranges: {}, deduplicate: false });
export const startAgain = () => update({ turns: [], ...UNFILTERED });
export const undo = () => update({ turns: state.turns.slice(0, -1) });

/** @param {Turn} turn */
const starts = (turn) => turn.item !== null || turn.upload !== null;

/**
 * Return the last step that has a picture of its own.
 * @returns {Turn | undefined}
 */
export const lastStart = () => state.turns.findLast(starts);

/** Return the texts that count: those since the last step with a picture. */
export function currentTexts() {
  const begin = Math.max(0, state.turns.findLastIndex(starts));
  return state.turns.slice(begin).map((turn) => turn.text).filter(Boolean);
}

/** Return what the results are to be without, since the last step with a picture. */
export function currentWithout() {
  const begin = Math.max(0, state.turns.findLastIndex(starts));
  return [...new Set(state.turns.slice(begin).flatMap((turn) => turn.without))];
}

/** Return the picture that the search starts from, where it was uploaded. */
export function currentUpload() {
  const number = lastStart()?.upload ?? null;
  return number === null ? null : uploads.get(number) ?? null;
}

/** Return the steps as the API takes them. */
export const sentTurns = () =>
  state.turns.map(({ without, ...turn }) => ({
    ...turn,
    upload: turn.upload !== null,
    terms: without.map((text) => ({ text, weight: WITHOUT_WEIGHT })),
  }));

/** Whether an address can hold the search: it cannot hold a person's own picture. */
export const isShareable = () => state.turns.every((turn) => turn.upload === null);

/** @param {boolean} replace */
function remember(replace) {
  const address = new URL(window.location.href);
  address.hash =
    state.turns.length > 0 && isShareable()
      ? `search=${encodeURIComponent(JSON.stringify(state))}`
      : "";
  const place = address.hash ? address.href : address.href.replace(/#.*/, "");
  window.history[replace ? "replaceState" : "pushState"]({ ...state }, "", place);
}

/**
 * Take up a search of the history or of a link.
 * @param {unknown} content
 * @returns {boolean} Whether all of its pictures are still there.
 */
export function recall(content) {
  Object.assign(state, readState(content));
  const complete = state.turns.every((turn) => turn.upload === null || uploads.has(turn.upload));
  if (!complete) {
    state.turns = [];
    remember(true);
  }
  changed();
  return complete;
}

/**
 * Return the search that the address holds; null where it holds none.
 * @returns {State | null}
 * @throws {Error} The address is damaged.
 */
export function readAddress() {
  if (!window.location.hash.startsWith("#search=")) return null;
  const content = JSON.parse(decodeURIComponent(window.location.hash.slice("#search=".length)));
  const read = readState(content);
  return { ...read, turns: read.turns.map((turn) => ({ ...turn, upload: null })) };
}

/**
 * Return a search from what anyone may have written into a link.
 * @param {any} content
 * @returns {State}
 */
export function readState(content) {
  return {
    turns: readTurns(content?.turns),
    filters: readFilters(content?.filters),
    ranges: readRanges(content?.ranges),
    deduplicate: content?.deduplicate === true,
    words: content?.words === true,
    group: content?.group !== false,
    sort: readSort(content?.sort),
  };
}

/**
 * @param {any} given
 * @returns {Turn[]}
 */
function readTurns(given) {
  if (!Array.isArray(given)) return [];
  return given
    .filter((turn) => turn && typeof turn === "object")
    .map((turn) => ({
      item: typeof turn.item === "string" && turn.item ? turn.item : null,
      upload: Number.isInteger(turn.upload) ? turn.upload : null,
      text: typeof turn.text === "string" ? turn.text : "",
      balance: Math.min(1, Math.max(-1, Number(turn.balance) || 0)),
      more_like: readTexts(turn.more_like),
      less_like: readTexts(turn.less_like),
      without: readTexts(turn.without),
    }));
}

/**
 * @param {any} given
 * @returns {string[]}
 */
const readTexts = (given) =>
  Array.isArray(given) ? given.filter((text) => typeof text === "string" && text) : [];

/**
 * @param {any} given
 * @returns {Filters}
 */
function readFilters(given) {
  if (!given || typeof given !== "object") return {};
  return Object.fromEntries(
    Object.entries(given).filter(([, values]) => Array.isArray(values) && values.length),
  );
}

/**
 * @param {any} given
 * @returns {Ranges}
 */
function readRanges(given) {
  if (!given || typeof given !== "object") return {};
  const read = Object.entries(given).map(([column, range]) => {
    const [from, to] = [range?.from, range?.to].map((side) => (typeof side === "string" ? side : ""));
    return /** @type {const} */ ([column, { from, to }]);
  });
  return Object.fromEntries(read.filter(([, { from, to }]) => from || to));
}

/**
 * @param {any} given
 * @returns {State["sort"]}
 */
const readSort = (given) =>
  typeof given?.column === "string"
    ? { column: given.column, descending: given.descending === true }
    : null;
