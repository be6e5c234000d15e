// The search page: a trail of turns in memory, one request a change, nothing from elsewhere.
//
// A turn is {item, upload, text, balance, more_like, less_like} as in the API, except that `upload`
// is the number of a picture in `uploads` (the API takes one picture and true).

const PAGE_SIZE = 24;
const START_SIZE = 12;
const FACET_VALUES = 24;
const SHOWN_VALUES = 8;
const LONGEST_SIDE = 1024; // larger pictures are made smaller before they are sent
const SMALL_FILE = 400_000; // bytes; files up to this are sent as they are
const RETRIES = 3;
const COLOURS = ["#d1495b", "#00798c", "#edae49", "#5f5aa2", "#66a182", "#c2703d"];
const SVG = "http://www.w3.org/2000/svg";

const find = (id) => document.getElementById(id);
const state = { turns: [], filters: {}, fold: false, hits: [], nextOffset: null, view: "start" };
const uploads = new Map(); // number: {blob, url}
const known = new Map(); // id of a photo: its metadata
const gallery = { title: "Search", photos: 0, limits: {}, facets: [], nameColumn: null };
let running = null; // AbortController of the search under way
let apiKey = sessionStorage.getItem("tmcir-key");
let toastTimer = 0;

// Talking to the service

class Problem extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function call(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const headers = { ...options.headers };
    if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
    let response;
    try {
      response = await fetch(`api/v1/${path}`, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "unreachable", "The search service cannot be reached.");
    }
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({ error: {} }));
    if (response.status === 401) {
      await askForKey(Boolean(apiKey));
    } else if (error?.code === "busy" && attempt < RETRIES) {
      await new Promise((done) => {
        setTimeout(done, 1000 * Number(response.headers.get("Retry-After") ?? 1));
      });
    } else {
      throw new Problem(response.status, error?.code, error?.message ?? "The service failed.");
    }
  }
}

async function post(route, turns, body, signal) {
  const sent = turns.map(({ upload, ...turn }) => ({ ...turn, upload: upload !== null }));
  const upload = lastStart(turns)?.upload ?? null;
  const query = JSON.stringify({ ...body, turns: sent });
  if (upload === null) {
    const headers = { "Content-Type": "application/json" };
    return call(route, { method: "POST", headers, body: query, signal });
  }
  const form = new FormData();
  form.append("image", uploads.get(upload).blob, "picture");
  form.append("query", query);
  return call(`${route}/upload`, { method: "POST", body: form, signal });
}

function askForKey(wasWrong) {
  const dialog = find("key-dialog");
  if (wasWrong) find("key-text").textContent = "That key does not open it. Try another one.";
  find("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => {
    find("key-form").addEventListener(
      "submit",
      () => {
        apiKey = find("key").value.trim();
        sessionStorage.setItem("tmcir-key", apiKey);
        done();
      },
      { once: true },
    );
  });
}

// Pictures

const itemPath = (id) => id.split("/").map(encodeURIComponent).join("/");

function thumbnail(id, alternative = "") {
  const image = make("img", { alt: alternative, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.classList.add("unseen"));
  image.addEventListener("load", () => URL.revokeObjectURL(image.src)); // of a blob: address only
  thumbnailAddress(id).then((address) => image.setAttribute("src", address), () => {});
  return image;
}

async function thumbnailAddress(id) {
  const path = `thumbnails/${itemPath(id)}`;
  if (!apiKey) return `api/v1/${path}`;
  // an <img> cannot send a key
  return URL.createObjectURL(await (await call(path)).blob());
}

async function addUpload(file) {
  if (file.type && !file.type.startsWith("image/")) {
    showProblem(new Problem(422, "invalid_image", ""), () => find("file").click());
    return;
  }
  const blob = await shrink(file);
  if (gallery.limits.maximum_upload && blob.size > gallery.limits.maximum_upload - 20_000) {
    const most = Math.floor(gallery.limits.maximum_upload / 2 ** 20);
    const message = `At most ${most} MB can be sent.`;
    showProblem(new Problem(413, "too_large", message), () => find("file").click());
    return;
  }
  const number = uploads.size + 1;
  uploads.set(number, { blob, url: URL.createObjectURL(blob) });
  addTurn({ upload: number, text: takeText() });
  find("text").focus();
}

async function shrink(file) {
  if (file.size <= SMALL_FILE) return file;
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", {
      width: Math.max(1, Math.round(bitmap.width * scale)),
      height: Math.max(1, Math.round(bitmap.height * scale)),
    });
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // behind what is transparent
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
    return blob ?? file;
  } catch {
    return file; // a kind that this browser cannot read; the service may
  }
}

// Turns

function addTurn(turn) {
  const last = state.turns.at(-1);
  const starts = turn.item || turn.upload;
  setTurns([
    ...state.turns,
    {
      item: null,
      upload: null,
      text: "",
      balance: starts ? 0 : (last?.balance ?? 0),
      more_like: [],
      less_like: [],
      ...turn,
    },
  ]);
}

function setTurns(turns) {
  state.turns = turns;
  remember();
  search();
}

const startIndex = (turns) => turns.findLastIndex((turn) => turn.item || turn.upload !== null);
const lastStart = (turns) => turns[startIndex(turns)];

function currentTexts(turns) {
  return turns.slice(Math.max(0, startIndex(turns))).map((turn) => turn.text).filter(Boolean);
}

const nameOf = (id) => {
  const name = known.get(id)?.[gallery.nameColumn];
  return name === undefined || name === null ? id : String(name);
};

function takeText() {
  const text = find("text").value.trim();
  find("text").value = "";
  return text;
}

function startFrom(id) {
  addTurn({ item: id });
  find("text").focus({ preventScroll: true });
  window.scrollTo({ top: 0, behavior: "smooth" });
}

function rate(id, side) {
  addTurn({ [side]: [id] });
  find("heading").focus({ preventScroll: true });
  const what = side === "more_like" ? "More like" : "Less like";
  toast(`${what} ${nameOf(id)}`);
}

// What the address and the history hold

function remember(replace = false) {
  const shareable = state.turns.length > 0 && state.turns.every((turn) => turn.upload === null);
  const content = { turns: state.turns, filters: state.filters, fold: state.fold };
  const address = new URL(window.location.href);
  address.hash = shareable ? `search=${encodeURIComponent(JSON.stringify(content))}` : "";
  const place = shareable ? address.href : address.href.replace(/#.*/, "");
  window.history[replace ? "replaceState" : "pushState"](content, "", place);
}

function recall(content) {
  state.turns = readTurns(content?.turns);
  state.filters = readFilters(content?.filters);
  state.fold = content?.fold === true;
  if (state.turns.some((turn) => turn.upload !== null && !uploads.has(turn.upload))) {
    state.turns = [];
    remember(true);
    toast("Your picture is no longer at hand. Add it again.");
  }
  search();
}

function readHash() {
  if (!window.location.hash.startsWith("#search=")) return null;
  try {
    const content = JSON.parse(decodeURIComponent(window.location.hash.slice("#search=".length)));
    return { ...content, turns: readTurns(content.turns).map((turn) => ({ ...turn, upload: null })) };
  } catch {
    toast("That link is damaged. Start a new search.");
    return null;
  }
}

function readTurns(given) {
  if (!Array.isArray(given)) return [];
  const ids = (value) => (Array.isArray(value) ? value.filter((id) => typeof id === "string") : []);
  return given
    .filter((turn) => turn && typeof turn === "object")
    .map((turn) => ({
      item: typeof turn.item === "string" && turn.item ? turn.item : null,
      upload: Number.isInteger(turn.upload) ? turn.upload : null,
      text: typeof turn.text === "string" ? turn.text : "",
      balance: Math.min(1, Math.max(-1, Number(turn.balance) || 0)),
      more_like: ids(turn.more_like),
      less_like: ids(turn.less_like),
    }));
}

function readFilters(given) {
  if (!given || typeof given !== "object") return {};
  return Object.fromEntries(
    Object.entries(given).filter(([, values]) => Array.isArray(values) && values.length),
  );
}

// Searching

function requestBody(offset) {
  const filters = Object.entries(state.filters).map(([column, value]) => ({
    column,
    operator: "in",
    value,
  }));
  return { filters, k: PAGE_SIZE, offset, fold_duplicates: state.fold };
}

async function search() {
  running?.abort();
  running = null;
  hideMessage();
  showQuestion();
  if (!state.turns.length) {
    await showStart();
    return;
  }
  const controller = new AbortController();
  running = controller;
  working(true);
  if (!state.hits.length) showSkeleton();
  try {
    const response = await post("search", state.turns, requestBody(0), controller.signal);
    const answer = await response.json();
    if (running !== controller) return;
    showHits(answer, false);
  } catch (error) {
    if (running !== controller) return;
    if (spoiltUpload(error)) await forgetUpload(error);
    else showProblem(error);
  } finally {
    if (running === controller) {
      running = null;
      working(false);
    }
  }
}

const spoiltUpload = ({ code }) =>
  ["invalid_image", "too_large"].includes(code) && state.turns.at(-1)?.upload;

/** Take back a picture that is no good: what was there before it stays. */
async function forgetUpload(problem) {
  state.turns = state.turns.slice(0, -1);
  remember(true);
  showQuestion();
  if (!state.turns.length) await showStart();
  showProblem(problem, () => find("file").click());
}

async function moreResults() {
  const controller = new AbortController();
  running = controller;
  working(true);
  try {
    const body = requestBody(state.nextOffset);
    const answer = await (await post("search", state.turns, body, controller.signal)).json();
    if (running !== controller) return;
    const first = state.hits.length;
    showHits(answer, true);
    focusCard(first);
  } catch (error) {
    if (running === controller) showProblem(error, moreResults);
  } finally {
    if (running === controller) {
      running = null;
      working(false);
    }
  }
}

async function showStart() {
  working(true);
  try {
    const { items } = await (await call(`items?limit=${START_SIZE}`)).json();
    if (state.turns.length) return;
    state.hits = items;
    state.nextOffset = null;
    showCards(items, false);
    const empty = !items.length;
    find("heading").textContent = empty ? "" : "Or start from one of these";
    if (empty) {
      showMessage("This gallery has no photos yet", "Add some with tmcir index, then reload.");
    }
  } catch (error) {
    showProblem(error);
  } finally {
    if (!state.turns.length) working(false);
  }
}

function working(busy) {
  find("progress").hidden = !busy;
  find("grid").setAttribute("aria-busy", String(busy));
  find("more").disabled = busy;
}

// The question

function showQuestion() {
  const turns = state.turns;
  const start = lastStart(turns);
  const view = turns.length ? "results" : "start";
  if (view !== state.view) state.hits = [];
  state.view = view;
  document.body.dataset.view = view;
  find("new").hidden = find("trail-group").hidden = !turns.length;
  find("share").hidden = !turns.length;
  const shareable = turns.every((turn) => turn.upload === null);
  find("share").disabled = !shareable;
  find("share").title = shareable ? "" : "Only searches from the gallery's own photos have a link";
  showReference(start);
  const text = find("text");
  find("text-label").textContent = start
    ? "What should be different?"
    : turns.length
      ? "Anything else?"
      : "What are you looking for?";
  const example = turns.length ? "in navy, with long sleeves" : "a red summer dress";
  text.placeholder = example;
  find("submit").textContent = turns.length && (start || currentTexts(turns).length) ? "Refine" : "Search";
  find("balance-group").hidden = !(start && currentTexts(turns).length);
  const balance = turns.at(-1)?.balance ?? 0;
  if (Number(find("balance").value) !== balance) find("balance").value = String(balance);
  describeBalance();
  showTrail();
  showFilters();
  find("why").hidden = !(start && currentTexts(turns).length);
}

function showReference(start) {
  find("choose").hidden = Boolean(start);
  find("shown").hidden = !start;
  if (!start) return;
  const image = find("shown-image");
  const name = start.item ? nameOf(start.item) : "Your picture";
  image.alt = name;
  find("shown-name").textContent = name;
  image.removeAttribute("src");
  image.classList.remove("unseen");
  if (start.item) {
    thumbnailAddress(start.item).then((address) => image.setAttribute("src", address), () => {});
  } else {
    image.setAttribute("src", uploads.get(start.upload).url);
  }
}

function describeBalance() {
  const value = Number(find("balance").value);
  const share = Math.round(Math.abs(value) * 100);
  const words = value === 0 ? "balanced" : value < 0 ? "closer to the picture" : "closer to the words";
  find("balance").setAttribute("aria-valuetext", value === 0 ? words : `${share} % ${words}`);
}

function showTrail() {
  const steps = state.turns.map((turn, index) => {
    const [pictured, label] = stepParts(turn);
    const button = make("button", { type: "button", className: "step" });
    if (pictured) button.append(pictured);
    button.append(make("span", { textContent: label }));
    const last = index === state.turns.length - 1;
    if (last) button.setAttribute("aria-current", "step");
    const hint = last ? `Step ${index + 1}: ${label}` : `Back to step ${index + 1}: ${label}`;
    button.setAttribute("aria-label", hint);
    button.title = hint;
    button.addEventListener("click", () => {
      if (!last) setTurns(state.turns.slice(0, index + 1));
    });
    return make("li", {}, button);
  });
  find("trail").replaceChildren(...steps);
  find("trail").scrollLeft = find("trail").scrollWidth; // where it is one line: the last step
}

function stepParts(turn) {
  if (turn.upload !== null) {
    const image = make("img", { alt: "", src: uploads.get(turn.upload).url });
    return [image, turn.text || "Your picture"];
  }
  if (turn.item) return [thumbnail(turn.item), turn.text || nameOf(turn.item)];
  if (turn.more_like.length) return [thumbnail(turn.more_like[0]), "More like this"];
  if (turn.less_like.length) return [thumbnail(turn.less_like[0]), "Not like this"];
  return [null, turn.text];
}

// Filters

function usefulFacets() {
  return gallery.facets.filter((facet) => {
    const counted = facet.values.reduce((sum, { count }) => sum + count, 0);
    const usual = counted >= gallery.photos / 3 && facet.values.length > 1;
    return facet.name !== gallery.nameColumn && usual;
  });
}

function showFilters() {
  const facets = usefulFacets();
  find("filters").hidden = !state.turns.length;
  find("fold").setAttribute("aria-pressed", String(state.fold));
  const count = Object.values(state.filters).flat().length + Number(state.fold);
  find("filter-count").hidden = !count;
  find("filter-count").textContent = String(count);
  const opened = new Set([...find("facets").children].filter((one) => one.open).map((one) => one.dataset.column));
  const focused = document.activeElement?.dataset?.filter;
  find("facets").replaceChildren(...facets.map((facet) => facetGroup(facet, opened)));
  const chosen = Object.entries(state.filters).flatMap(([column, values]) =>
    values.map((value) => chosenChip(column, value)),
  );
  find("chosen").hidden = !chosen.length;
  find("chosen").replaceChildren(...chosen);
  if (focused) {
    [...document.querySelectorAll("[data-filter]")].find((chip) => chip.dataset.filter === focused)?.focus();
  }
}

function facetGroup(facet, opened) {
  const chosen = state.filters[facet.name] ?? [];
  const label = plainName(facet.name);
  const summary = make("summary", { textContent: label });
  if (chosen.length) summary.append(make("span", { className: "badge", textContent: chosen.length }));
  const chips = make("div", { className: "chips", role: "group" });
  chips.setAttribute("aria-label", label);
  facet.values.forEach(({ value, count }, index) => {
    const button = make("button", { type: "button", className: "chip", textContent: String(value) });
    button.append(make("small", { textContent: count.toLocaleString() }));
    button.setAttribute("aria-pressed", String(chosen.includes(value)));
    button.dataset.filter = JSON.stringify([facet.name, value]);
    button.hidden = index >= SHOWN_VALUES && !chosen.includes(value);
    button.addEventListener("click", () => toggleFilter(facet.name, value));
    chips.append(button);
  });
  const hidden = [...chips.children].filter((chip) => chip.hidden);
  if (hidden.length) {
    const toggle = make("button", { type: "button", className: "chip toggle", textContent: `${hidden.length} more` });
    toggle.addEventListener("click", () => {
      hidden.forEach((chip) => { chip.hidden = false; });
      toggle.remove();
      hidden[0].focus();
    });
    chips.append(toggle);
  }
  const group = make("details", { className: "facet", open: opened.has(facet.name) }, summary, chips);
  group.dataset.column = facet.name;
  return group;
}

function chosenChip(column, value) {
  const button = make("button", { type: "button", className: "chip", textContent: `${value}  ×` });
  button.setAttribute("aria-label", `Remove the filter ${plainName(column)}: ${value}`);
  button.addEventListener("click", () => {
    toggleFilter(column, value);
    find("heading").focus({ preventScroll: true });
  });
  return make("li", {}, button);
}

function toggleFilter(column, value) {
  const before = state.filters[column] ?? [];
  const after = before.includes(value) ? before.filter((one) => one !== value) : [...before, value];
  const { [column]: _, ...others } = state.filters;
  state.filters = after.length ? { ...others, [column]: after } : others;
  remember();
  search();
}

const plainName = (column) => {
  const words = column.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

// The answers

function showHits(answer, append) {
  answer.hits.forEach((hit) => known.set(hit.id, hit.metadata));
  state.hits = append ? [...state.hits, ...answer.hits] : answer.hits;
  state.nextOffset = answer.next_offset;
  showCards(answer.hits, append);
  const { text } = answer.query;
  const count = state.hits.length;
  const plenty = answer.next_offset !== null;
  find("more").hidden = !plenty;
  find("heading").textContent = heading(text);
  announce(count ? `${count}${plenty ? " and more" : ""} results` : "No results");
  if (!count) {
    const filtered = Object.keys(state.filters).length > 0;
    showMessage(
      "Nothing found",
      filtered
        ? "No photo fits all of the filters. Remove one, or clear them."
        : "There is no photo left. Undo the last step, or start a new search.",
      filtered ? "Clear filters" : "Undo",
      filtered ? clearFilters : undo,
    );
  }
}

function heading(text) {
  const start = lastStart(state.turns);
  if (start && text) return `Like the picture, but ${text}`;
  if (start) return "Similar to the picture";
  return text ? `Results for “${text}”` : "Results";
}

function showCards(hits, append) {
  hits.forEach((hit) => known.set(hit.id, hit.metadata));
  const cards = hits.map(card);
  const grid = find("grid");
  if (append) grid.append(...cards);
  else grid.replaceChildren(...cards);
  if (!append) activateCard(0);
  if (!state.turns.length) find("more").hidden = true;
}

function card(hit) {
  const name = nameOf(hit.id);
  const picture = make("button", { type: "button", className: "picture" }, thumbnail(hit.id));
  picture.append(make("span", { textContent: "Start from this" }));
  picture.setAttribute("aria-label", `Start from ${name}`);
  picture.addEventListener("click", () => startFrom(hit.id));
  const caption = make("div", { className: "caption" });
  caption.append(make("div", { className: "name", textContent: name, title: details(hit) }));
  if (hit.score !== undefined) caption.append(underCard(hit, name));
  return make("li", { className: "card" }, picture, caption);
}

function underCard(hit, name) {
  const score = make("span", { className: "score", textContent: hit.score.toFixed(2) });
  score.title = "How close it is, at most 1";
  if (hit.duplicates.length) {
    score.textContent += ` · +${hit.duplicates.length}`;
    score.title += `; ${hit.duplicates.length} near-duplicates are not shown`;
  }
  return make(
    "div",
    { className: "under" },
    score,
    rateButton("Not like", name, "rate down", () => rate(hit.id, "less_like")),
    rateButton("More like", name, "rate", () => rate(hit.id, "more_like")),
  );
}

const THUMB =
  "M8 11v9H4.5v-9zM8 11l3.6-7.2c1.5 0 2.3 1 2 2.4L13 9.4h5.4c1 0 1.7.9 1.5 1.9l-1.7 7.2c-.2.9-1 1.5-1.9 1.5H8";

function rateButton(what, name, className, action) {
  const drawing = makeSvg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
  drawing.append(makeSvg("path", { d: THUMB }));
  const button = make("button", { type: "button", className, title: `${what} this` }, drawing);
  button.setAttribute("aria-label", `${what} ${name}`);
  button.addEventListener("click", action);
  return button;
}

const details = (hit) =>
  Object.entries(hit.metadata)
    .filter(([, value]) => value !== null)
    .map(([column, value]) => `${plainName(column)}: ${value}`)
    .join("\n");

function showSkeleton() {
  const blocks = Array.from({ length: 8 }, () => {
    const block = make("li", { className: "skeleton" });
    block.setAttribute("aria-hidden", "true");
    return block;
  });
  find("grid").replaceChildren(...blocks);
  find("heading").textContent = "Searching…";
  find("more").hidden = true;
}

// Moving between results: one card at a time is in the order of Tab, arrows choose which

const cards = () => [...find("grid").querySelectorAll(".card")];

function activateCard(index) {
  cards().forEach((one, position) => {
    one.querySelectorAll("button").forEach((button) => {
      button.tabIndex = position === index ? 0 : -1;
    });
  });
}

function focusCard(index) {
  activateCard(index);
  cards()[index]?.querySelector(".picture").focus();
}

function moveInGrid(event) {
  const all = cards();
  const index = all.findIndex((one) => one.contains(document.activeElement));
  if (index < 0 || !document.activeElement.classList.contains("picture")) return;
  const columns = getComputedStyle(find("grid")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const target = { Home: 0, End: all.length - 1 }[event.key] ?? index + steps[event.key];
  if (target >= 0 && target < all.length) {
    event.preventDefault();
    focusCard(target);
  }
}

// Messages

const TITLES = {
  unreachable: "The search service cannot be reached",
  invalid_image: "That picture cannot be read",
  too_large: "That picture is too large",
  busy: "Many people are searching just now",
  timeout: "That took too long",
  unknown_item: "That photo is no longer in the gallery",
};
const ADVICE = {
  unreachable: "Check your connection, then try again.",
  invalid_image: "Try another picture: JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF can be read.",
  busy: "Wait a moment, then try again.",
  timeout: "Try again; if it happens again, try a smaller picture.",
  unknown_item: "Undo this step, or start a new search.",
};
const UNDONE = ["unknown_item", "invalid_query", "image_missing"];
const SPOILT = ["invalid_image", "too_large"];

function showProblem(problem, again = search) {
  const code = problem instanceof Problem ? problem.code : "broken";
  if (!(problem instanceof Problem)) console.error(problem);
  const text = ADVICE[code] ?? problem.message;
  const undoes = UNDONE.includes(code) && state.turns.length > 0;
  if (undoes || !state.hits.length) {
    find("grid").replaceChildren();
    find("heading").textContent = "";
    find("more").hidden = true;
  }
  const label = SPOILT.includes(code) ? "Choose another picture" : "Try again";
  const title = TITLES[code] ?? "That did not work";
  showMessage(title, text, undoes ? "Undo" : label, undoes ? undo : again, true);
  find("message").scrollIntoView({ block: "nearest" });
}

function showMessage(title, text, button = "", action = null, isProblem = false) {
  const message = find("message");
  message.classList.toggle("problem", isProblem);
  message.setAttribute("role", isProblem ? "alert" : "note");
  find("message-title").textContent = title;
  find("message-text").textContent = text;
  const pressed = find("message-button");
  pressed.hidden = !button;
  pressed.textContent = button;
  pressed.onclick = () => {
    hideMessage();
    action?.();
  };
  message.hidden = false;
}

const hideMessage = () => { find("message").hidden = true; };
const announce = (text) => { find("status").textContent = text; };

function toast(text) {
  announce(text);
  find("toast").textContent = text;
  find("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { find("toast").hidden = true; }, 4000);
}

// Why these results

async function explain() {
  try {
    working(true);
    const told = await (await post("explain", state.turns, {})).json();
    await drawExplanation(told);
    find("explanation").showModal();
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error, explain);
  } finally {
    working(false);
  }
}

async function drawExplanation(told) {
  const start = lastStart(state.turns);
  const address = start.item ? await thumbnailAddress(start.item) : uploads.get(start.upload).url;
  const size = await naturalSize(address);
  const layers = drawPatches(told, address, size);
  showGate(told.gate);
  const buttons = told.words.map((word, index) => wordButton(word, index, layers));
  find("explanation-words").replaceChildren(...buttons.map((button) => make("li", {}, button)));
  const share = told.matched_share === null ? null : Math.round(100 * told.matched_share);
  find("explanation-note").textContent = explanationNote(share);
}

function explanationNote(share) {
  if (share === null) return "This model does not say which part of the picture a word is about.";
  if (share === 0) return "No word means what is already in the picture: all of them ask for something new.";
  return `The model merged ${share} % of the picture into words that it takes to mean the same. Press a word to see where.`;
}

function naturalSize(address) {
  const image = new Image();
  return new Promise((done) => {
    image.onload = () => done([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => done([1, 1]); // a kind that this browser cannot show
    image.src = address;
  });
}

function drawPatches(told, address, [width, height]) {
  const { left, top, right, bottom } = told.region ?? { left: 0, top: 0, right: 1, bottom: 1 };
  const [x, y] = [Math.min(0, left) * width, Math.min(0, top) * height];
  const across = Math.max(1, right) * width - x;
  const down = Math.max(1, bottom) * height - y;
  const drawing = makeSvg("svg", { viewBox: `${x} ${y} ${across} ${down}`, role: "img" });
  drawing.setAttribute("aria-label", "The picture, with the parts that each word took up");
  drawing.append(makeSvg("image", { href: address, width, height, preserveAspectRatio: "none" }));
  const cellWidth = ((right - left) * width) / told.grid.columns;
  const cellHeight = ((bottom - top) * height) / told.grid.rows;
  const layers = told.words.map((word, index) => {
    const layer = makeSvg("g", { fill: COLOURS[index % COLOURS.length] });
    const heaviest = word.patches[0]?.weight || 1;
    word.patches.forEach(({ row, column, weight }) => {
      layer.append(
        makeSvg("rect", {
          x: left * width + column * cellWidth,
          y: top * height + row * cellHeight,
          width: cellWidth,
          height: cellHeight,
          "fill-opacity": 0.25 + 0.35 * Math.max(0, weight / heaviest),
          stroke: COLOURS[index % COLOURS.length],
          "stroke-width": Math.max(width, height) / 200,
        }),
      );
    });
    drawing.append(layer);
    return layer;
  });
  find("explanation-picture").replaceChildren(drawing);
  return layers;
}

function wordButton(word, index, layers) {
  const button = make("button", { type: "button", className: "word", textContent: word.text });
  const count = word.patches.length;
  if (count) {
    const swatch = makeSvg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    swatch.append(makeSvg("circle", { cx: 5, cy: 5, r: 5, fill: COLOURS[index % COLOURS.length] }));
    button.prepend(swatch);
    button.append(make("small", { textContent: count === 1 ? "1 part" : `${count} parts` }));
  } else {
    button.append(make("small", { textContent: "new" }));
    button.disabled = true;
  }
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const chosen = button.getAttribute("aria-pressed") !== "true";
    find("explanation-words").querySelectorAll("button").forEach((one) => {
      one.setAttribute("aria-pressed", String(one === button && chosen));
    });
    layers.forEach((layer, position) => {
      layer.toggleAttribute("hidden", chosen && position !== index);
      layer.setAttribute("visibility", chosen && position !== index ? "hidden" : "visible");
    });
  });
  return button;
}

function showGate(gate) {
  const place = find("explanation-gate");
  if (gate === null) {
    place.replaceChildren();
    return;
  }
  const picture = Math.round((100 * gate.image) / (gate.image + gate.text));
  const bar = makeSvg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.append(
    makeSvg("rect", { class: "gate-image", width: picture, height: 10 }),
    makeSvg("rect", { class: "gate-words", x: picture, width: 100 - picture, height: 10 }),
  );
  place.replaceChildren(
    make("h3", { textContent: "How much each counts" }),
    make("div", { className: "gate-bar" }, bar),
    make(
      "p",
      {},
      make("span", { textContent: `Picture ${picture} %` }),
      make("span", { textContent: `Words ${100 - picture} %` }),
    ),
  );
}

// Making elements, never from text that could be markup

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function makeSvg(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  return element;
}

// What people do

function undo() {
  setTurns(state.turns.slice(0, -1));
  find("text").focus();
}

function clearFilters() {
  state.filters = {};
  state.fold = false;
  remember();
  search();
  find("heading").focus({ preventScroll: true });
}

function newSearch() {
  state.filters = {};
  state.fold = false;
  find("text").value = "";
  setTurns([]);
  find("text").focus();
}

async function share() {
  try {
    await navigator.clipboard.writeText(window.location.href);
    toast("Link copied");
  } catch {
    toast("Copy the address of this page: it is the link");
  }
}

function listen() {
  find("shown-image").addEventListener("error", (event) => {
    event.target.classList.add("unseen"); // a kind that this browser cannot show
  });
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = takeText();
    if (text) addTurn({ text });
    else find("text").focus();
  });
  for (const id of ["choose", "change"]) find(id).addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", () => {
    const [file] = find("file").files;
    if (file) addUpload(file);
    find("file").value = "";
  });
  let waiting = 0;
  find("balance").addEventListener("input", () => {
    describeBalance();
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const last = state.turns.at(-1);
      if (!last) return;
      state.turns = [...state.turns.slice(0, -1), { ...last, balance: Number(find("balance").value) }];
      remember(true);
      search();
    }, 200);
  });
  find("fold").addEventListener("click", () => {
    state.fold = !state.fold;
    remember();
    search();
  });
  find("undo").addEventListener("click", undo);
  find("new").addEventListener("click", newSearch);
  find("share").addEventListener("click", share);
  find("more").addEventListener("click", moreResults);
  find("why").addEventListener("click", explain);
  find("explanation-close").addEventListener("click", () => find("explanation").close());
  find("explanation").addEventListener("click", (event) => {
    if (event.target === find("explanation")) find("explanation").close();
  });
  find("key-dialog").addEventListener("cancel", (event) => event.preventDefault());
  find("skip").addEventListener("click", () => find("heading").focus());
  find("grid").addEventListener("keydown", (event) => {
    if (/^(Arrow|Home|End)/.test(event.key)) moveInGrid(event);
  });
  find("grid").addEventListener("focusin", (event) => {
    const index = cards().findIndex((one) => one.contains(event.target));
    if (index >= 0) activateCard(index);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      find("text").focus();
    }
  });
  window.addEventListener("popstate", (event) => recall(event.state ?? readHash()));
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) {
      event.preventDefault();
      addUpload(file);
    }
  });
  listenForDrops();
}

function listenForDrops() {
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    find("dropping").hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) find("dropping").hidden = true;
  });
  window.addEventListener("drop", (event) => {
    find("dropping").hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) addUpload(file);
  });
}

async function learnGallery() {
  const [about, facets] = await Promise.all(
    ["gallery", `facets?limit=${FACET_VALUES}`].map(async (path) => (await call(path)).json()),
  );
  Object.assign(gallery, about, { facets: facets.facets });
  // the column that names photos best: text whose values are hardly ever the same
  const usual = (facet) =>
    facet.values.reduce((sum, { count }) => sum + count, 0) / Math.max(1, facet.values.length);
  const names = gallery.facets.filter(
    (facet) =>
      facet.kind === "text" && !facet.complete && usual(facet) <= Math.max(2, gallery.photos / 100),
  );
  names.sort((one, other) => usual(one) - usual(other));
  gallery.nameColumn = names[0]?.name ?? null;
  document.title = gallery.title;
  find("title").textContent = gallery.title;
  find("count").textContent = `${gallery.photos.toLocaleString()} photos`;
}

/** Learn the names of photos that a link names, so that the trail can show them. */
async function learnNames(turns) {
  const ids = new Set(turns.flatMap((turn) => [turn.item, ...turn.more_like, ...turn.less_like]));
  ids.delete(null);
  await Promise.all(
    [...ids].map(async (id) => {
      try {
        const item = await (await call(`items/${itemPath(id)}`)).json();
        known.set(id, item.metadata);
      } catch {
        // the search will say that it is gone
      }
    }),
  );
}

async function begin() {
  const content = window.history.state ?? readHash();
  try {
    await learnGallery();
    if (content) await learnNames(readTurns(content.turns));
  } catch (error) {
    showProblem(error, begin);
    return;
  }
  if (content) recall(content);
  else search();
}

listen();
begin();
