// The search page: what people do leads to a change of the search, each change to one request.

import { find, findDialog, findImage, findInput } from "./elements.js";
import { explain } from "./explain.js";
import { buildFilters } from "./filters.js";
import { readGallery, readNames } from "./gallery.js";
import { toast } from "./messages.js";
import { showProblem } from "./problems.js";
import { showProduct } from "./product.js";
import { describeBalance } from "./question.js";
import { listenInGrid, onDetails } from "./results.js";
import { addPicture, askWords, search, showMore } from "./search.js";
import { buildSorting } from "./sorting.js";
import {
  onChange,
  readAddress,
  readState,
  recall,
  setBalance,
  startAgain,
  state,
  undo,
  update,
} from "./turns.js";

const BALANCE_MILLISECONDS = 200; // the slider rests this long before a search

/**
 * @param {string} id
 * @param {() => unknown} action
 */
const onClick = (id, action) => find(id).addEventListener("click", action);

async function share() {
  try {
    await navigator.clipboard.writeText(window.location.href);
    toast("Link copied");
  } catch {
    toast("Copy the address of this page: it is the link");
  }
}

function listenToButtons() {
  const choose = () => find("file").click();
  onClick("choose", choose);
  onClick("change", choose);
  onClick("deduplicate", () => update({ deduplicate: !state.deduplicate }));
  onClick("words", () => update({ words: !state.words }));
  onClick("group", () => update({ group: !state.group }));
  onClick("undo", () => {
    undo();
    find("text").focus();
  });
  onClick("new", () => {
    findInput("text").value = findInput("without").value = "";
    startAgain();
    find("text").focus();
  });
  onClick("share", share);
  onClick("more", showMore);
  onClick("why", explain);
  onClick("skip", () => find("heading").focus());
}

function listenToDialogs() {
  for (const id of ["explanation", "product"]) {
    const dialog = findDialog(id);
    onClick(`${id}-close`, () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // outside of what it shows
    });
  }
  find("key-dialog").addEventListener("cancel", (event) => event.preventDefault());
}

function listenToForm() {
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    askWords();
  });
  let timer = 0;
  find("balance").addEventListener("input", () => {
    describeBalance();
    clearTimeout(timer);
    timer = setTimeout(() => setBalance(Number(findInput("balance").value)), BALANCE_MILLISECONDS);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      find("text").focus();
    }
  });
}

function listenToPictures() {
  const shown = findImage("shown-image");
  shown.addEventListener("error", () => shown.classList.add("unseen")); // a format not shown here
  const input = findInput("file");
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) addPicture(file);
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const file = files.find((one) => one.type.startsWith("image/"));
    if (file) {
      event.preventDefault();
      addPicture(file);
    }
  });
  listenToDrops();
}

function listenToDrops() {
  const dropping = find("dropping");
  /** @param {DragEvent} event */
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    dropping.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) dropping.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    dropping.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) addPicture(file);
  });
}

/** Return the search of the history or of the address, if there is one. */
function findSearch() {
  try {
    return window.history.state ?? readAddress();
  } catch {
    toast("That link is damaged. Start a new search.");
    return null;
  }
}

/** @param {unknown} content */
function resume(content) {
  if (!recall(content)) toast("Your picture is no longer at hand. Add it again.");
}

async function begin() {
  const content = findSearch();
  try {
    await readGallery();
    buildFilters();
    buildSorting();
    if (content) await readNames(readState(content).turns);
  } catch (error) {
    showProblem(error, begin);
    return;
  }
  if (content) resume(content);
  else search();
}

onChange(search);
onDetails(showProduct);
window.addEventListener("popstate", (event) => resume(event.state ?? findSearch()));
listenToButtons();
listenToDialogs();
listenToForm();
listenToPictures();
listenInGrid();
begin();
