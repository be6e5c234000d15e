// Why these results: how much picture and words count, and which patches each word merged with.

import { isCancelled, post } from "./api.js";
import { find, findDialog, make, makeSvg } from "./elements.js";
import { counted } from "./gallery.js";
import { showBusy } from "./messages.js";
import { thumbnailAddress } from "./pictures.js";
import { showProblem } from "./problems.js";
import { uploadAddress } from "./question.js";
import { currentUpload, lastStart, sentTurns } from "./turns.js";

/** @typedef {import("./api.js").Explain} Explanation */
/** @typedef {import("./api.js").Word} Word */
/** @typedef {import("./api.js").Patch} Patch */

const COLOURS = ["#d1495b", "#00798c", "#edae49", "#5f5aa2", "#66a182", "#c2703d"];

/** @param {number} index */
const colourOf = (index) => COLOURS[index % COLOURS.length];

/** Ask for an explanation of the search, and show it. */
export async function explain() {
  try {
    showBusy(true);
    const picture = currentUpload()?.blob ?? null;
    const answer = await post("explain", { turns: sentTurns() }, picture);
    await showExplanation(await answer.json());
    findDialog("explanation").showModal();
  } catch (error) {
    if (!isCancelled(error)) showProblem(error, explain);
  } finally {
    showBusy(false);
  }
}

/** @param {Explanation} explanation */
async function showExplanation(explanation) {
  const start = lastStart();
  if (!start) return;
  const address = start.item ? await thumbnailAddress(start.item) : uploadAddress(start);
  const words = explanation.words.filter((word) => word.text.trim());
  const merges = explanation.patches_matter !== false && words.some((word) => word.patches.length);
  const shown = { ...explanation, words: merges ? words : [] };
  const layers = drawPatches(shown, address, await naturalSize(address));
  showGate(explanation.gate);
  const buttons = shown.words.map((word, index) => wordButton(word, index, layers));
  find("explanation-words").replaceChildren(...buttons.map((button) => make("li", {}, button)));
  find("explanation-words-group").hidden = !merges;
  find("explanation-note").textContent = merges ? mergeNote(explanation) : wholeNote(explanation);
}

/** @param {Explanation} explanation */
function mergeNote({ matched_share: share }) {
  const part = share === null ? "parts" : `${Math.round(100 * share)} %`;
  return `The model merged ${part} of the picture with the words that are most like it to the model, which need not be those that a person would choose. Press a word to see where.`;
}

/** @param {Explanation} explanation */
function wholeNote({ gate, similarity }) {
  const whole = "Picture and words count as a whole: no part of the picture belongs to one word.";
  if (gate !== null || similarity === null) return whole;
  const [picture, words] = [similarity.image.toFixed(2), similarity.text.toFixed(2)];
  return `${whole} The search is ${picture} like the picture and ${words} like the words, of at most 1.`;
}

/**
 * @param {string} address
 * @returns {Promise<[number, number]>} Width and height in pixels.
 */
function naturalSize(address) {
  const image = new Image();
  return new Promise((done) => {
    image.onload = () => done([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => done([1, 1]); // a format that this browser cannot show
    image.src = address;
  });
}

/**
 * Draw the picture, and over it the patches of each word.
 * @param {Explanation} explanation
 * @param {string} address
 * @param {[number, number]} size
 * @returns {SVGGElement[]} A layer a word.
 */
function drawPatches(explanation, address, [width, height]) {
  const { left, top, right, bottom } = explanation.region ?? { left: 0, top: 0, right: 1, bottom: 1 };
  const [x, y] = [Math.min(0, left) * width, Math.min(0, top) * height];
  const across = Math.max(1, right) * width - x;
  const down = Math.max(1, bottom) * height - y;
  const cell = {
    width: ((right - left) * width) / explanation.grid.columns,
    height: ((bottom - top) * height) / explanation.grid.rows,
  };
  /** @param {Patch} patch */
  const place = ({ row, column }) => ({
    x: left * width + column * cell.width,
    y: top * height + row * cell.height,
    ...cell,
    "stroke-width": Math.max(width, height) / 200,
  });
  const layers = explanation.words.map((word, index) => wordLayer(word, index, place));
  const drawing = makeSvg("svg", { viewBox: `${x} ${y} ${across} ${down}`, role: "img" });
  drawing.setAttribute("aria-label", layers.length ? "The picture and the parts that each word merged with" : "The picture");
  drawing.append(makeSvg("image", { href: address, width, height, preserveAspectRatio: "none" }));
  drawing.append(...layers);
  find("explanation-picture").replaceChildren(drawing);
  return layers;
}

/**
 * @param {Word} word
 * @param {number} index
 * @param {(patch: Patch) => Record<string, number>} place
 */
function wordLayer(word, index, place) {
  const heaviest = word.patches[0]?.weight || 1;
  const patches = word.patches.map((patch) => {
    const strength = Math.max(0, patch.weight / heaviest);
    return makeSvg("rect", { ...place(patch), "fill-opacity": 0.25 + 0.35 * strength });
  });
  return makeSvg("g", { fill: colourOf(index), stroke: colourOf(index) }, ...patches);
}

/**
 * @param {Word} word
 * @param {number} index
 * @param {SVGGElement[]} layers
 */
function wordButton(word, index, layers) {
  const button = make("button", { type: "button", className: "word", textContent: word.text });
  const count = word.patches.length;
  if (count) {
    const swatch = makeSvg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    swatch.append(makeSvg("circle", { cx: 5, cy: 5, r: 5, fill: colourOf(index) }));
    button.prepend(swatch);
    button.append(make("small", { textContent: counted(count, "part") }));
  } else {
    button.disabled = true;
  }
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => pressWord(button, index, layers));
  return button;
}

/**
 * Show the patches of one word alone or, where it is pressed again, those of all.
 * @param {HTMLButtonElement} button
 * @param {number} index
 * @param {SVGGElement[]} layers
 */
function pressWord(button, index, layers) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  find("explanation-words").querySelectorAll("button").forEach((one) => {
    one.setAttribute("aria-pressed", String(one === button && pressed));
  });
  layers.forEach((layer, position) => {
    const hidden = pressed && position !== index;
    layer.setAttribute("visibility", hidden ? "hidden" : "visible");
  });
}

/** @param {import("./api.js").Gate | null} gate */
function showGate(gate) {
  const place = find("explanation-gate");
  if (gate === null) {
    place.replaceChildren();
    return;
  }
  const picture = Math.round((100 * gate.image) / (gate.image + gate.text));
  const words = 100 - picture;
  const bar = makeSvg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("rect", { class: "gate-image", width: picture, height: 10 }),
    makeSvg("rect", { class: "gate-words", x: picture, width: words, height: 10 }),
  );
  const shares = [`Picture ${picture} %`, `Words ${words} %`];
  place.replaceChildren(
    make("h3", { textContent: "How much each counts" }),
    make("div", { className: "gate-bar" }, bar),
    make("p", {}, ...shares.map((textContent) => make("span", { textContent }))),
  );
}
