// Searching: one request a change; an answer that comes too late is ignored.

import { call, post, Problem } from "./api.js";
import { find, findInput } from "./elements.js";
import { showFilters } from "./filters.js";
import { gallery } from "./gallery.js";
import { hideMessage, showBusy, showMessage, toast } from "./messages.js";
import { shrink } from "./pictures.js";
import { isPictureRejected, showProblem } from "./problems.js";
import { showQuestion } from "./question.js";
import { focusCard, showHits, showItems, showSkeleton, shown, showUnread } from "./results.js";
import { showSorting } from "./sorting.js";
import { addTurn, currentTexts, currentUpload, dropLastTurn, sentTurns, state, uploads } from "./turns.js";

const PAGE_SIZE = 24;
const START_SIZE = 12;
const ARTICLE = /(?=\S*\d)[\w./-]{3,}/; // a word with a digit
const FORM_BYTES = 20_000; // of a request, beside its picture

/** @type {AbortController | null} */
let running = null;
let hadTurns = false;

/** Show the search, and ask for its results. */
export async function search() {
  running?.abort();
  running = null;
  hideMessage();
  showSearch();
  if (!state.turns.length) {
    await showStart();
    return;
  }
  if (!shown.count) showSkeleton();
  await ask(0, (answer) => showHits(answer, false), onSearchProblem);
}

/** Ask for the next page of results. */
export async function showMore() {
  const first = shown.count;
  const append = (/** @type {import("./api.js").Search} */ answer) => {
    showHits(answer, true);
    focusCard(first);
  };
  await ask(shown.nextOffset ?? 0, append, (error) => showProblem(error, showMore));
}

/**
 * Start from a picture that a person chose, pasted or dropped.
 * @param {File} file
 */
export async function addPicture(file) {
  const choose = () => find("file").click();
  if (file.type && !file.type.startsWith("image/")) {
    showProblem(new Problem(422, "invalid_image", ""), choose);
    return;
  }
  const blob = await shrink(file);
  if (blob.size > gallery.maximumUpload - FORM_BYTES) {
    const megabytes = Math.floor(gallery.maximumUpload / 2 ** 20);
    showProblem(new Problem(413, "too_large", `At most ${megabytes} MB can be sent.`), choose);
    return;
  }
  const number = uploads.size + 1;
  uploads.set(number, { blob, url: URL.createObjectURL(blob) });
  addTurn({ upload: number, ...takeWords() });
  find("text").focus();
}

/** Take what is typed as a step of its own. */
export function askWords() {
  const words = takeWords();
  if (words.text || (words.without.length && state.turns.length)) {
    addTurn(words);
    return;
  }
  findInput("without").value = words.without.join(", ");
  if (words.without.length) toast("Say first what you are looking for");
  find("text").focus();
}

/** Return what is typed, and empty the fields. */
function takeWords() {
  const [text, without] = ["text", "without"].map((id) => {
    const typed = findInput(id).value.trim();
    findInput(id).value = "";
    return typed;
  });
  return { text, without: without.split(/[,;]/).map((one) => one.trim()).filter(Boolean) };
}

function showSearch() {
  if (hadTurns !== state.turns.length > 0) shown.count = 0;
  hadTurns = state.turns.length > 0;
  showQuestion();
  showFilters();
  showSorting();
}

/**
 * @param {number} offset
 * @param {(answer: import("./api.js").Search) => void} onAnswer
 * @param {(error: unknown) => unknown} onProblem
 */
async function ask(offset, onAnswer, onProblem) {
  const controller = new AbortController();
  running = controller;
  showBusy(true);
  try {
    const picture = currentUpload()?.blob ?? null;
    const response = await post("search", requestBody(offset), picture, controller.signal);
    const answer = await response.json();
    if (running === controller) onAnswer(answer);
  } catch (error) {
    if (running === controller) await onProblem(error);
  } finally {
    if (running === controller) {
      running = null;
      showBusy(false);
    }
  }
}

/** @param {number} offset */
function requestBody(offset) {
  return {
    turns: sentTurns(),
    filters: conditions(),
    k: PAGE_SIZE,
    offset,
    deduplicate: state.deduplicate,
    group: groupColumn(),
    sort: state.sort,
    words: wordColumns(),
  };
}

/** Return the columns whose words count: on request, or where the text may be an article number. */
const wordColumns = () =>
  state.words || currentTexts().some((text) => ARTICLE.test(text)) ? gallery.words : [];

/** Return the column of which each value is one tile; null where products are filtered by it. */
function groupColumn() {
  const column = gallery.roles.group;
  return state.group && column !== null && !(column in state.filters) ? column : null;
}

/** Return the filters as the API takes them. */
function conditions() {
  const dates = new Set(gallery.facets.filter((facet) => facet.is_date).map((facet) => facet.name));
  const values = Object.entries(state.filters).map(([column, value]) => ({
    column,
    operator: "in",
    value,
  }));
  const ranges = Object.entries(state.ranges).flatMap(([column, { from, to }]) => [
    { column, operator: ">=", value: from },
    // dates are compared as text: "~" comes after all times of the day
    { column, operator: "<=", value: to && dates.has(column) ? `${to}~` : to },
  ]);
  return [...values, ...ranges.filter(({ value }) => value)];
}

/** @param {unknown} error */
async function onSearchProblem(error) {
  if (!isPictureRejected(error)) {
    showProblem(error, search);
    return;
  }
  dropLastTurn(); // the search before it stays as it was
  showSearch();
  if (!state.turns.length) await showStart();
  showProblem(error, () => find("file").click());
}

async function showStart() {
  showBusy(true);
  showUnread("");
  try {
    const { items } = await (await call(`items?limit=${START_SIZE}`)).json();
    if (state.turns.length) return;
    showItems(items);
    find("heading").textContent = items.length ? "Or start from one of these" : "";
    if (!items.length) {
      showMessage("This gallery has no photos yet", "Add some with tmcir index, then reload.");
    }
  } catch (error) {
    showProblem(error, search);
  } finally {
    if (!state.turns.length) showBusy(false);
  }
}
