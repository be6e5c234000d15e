// What the page says where something went wrong, and the way out that it offers.

import { Problem } from "./api.js";
import { find } from "./elements.js";
import { showMessage } from "./messages.js";
import { clearResults, shown } from "./results.js";
import { state, undo } from "./turns.js";

/** @type {Record<string, string>} */
const TITLES = {
  unreachable: "The search service cannot be reached",
  invalid_image: "That picture cannot be read",
  too_large: "That picture is too large",
  busy: "Many people are searching just now",
  timeout: "That took too long",
  unknown_item: "That photo is no longer in the gallery",
};
/** @type {Record<string, string>} */
const ADVICE = {
  unreachable: "Check your connection, then try again.",
  invalid_image: "Try another picture: JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF can be read.",
  busy: "Wait a moment, then try again.",
  timeout: "Try again; if it happens again, try a smaller picture.",
  unknown_item: "Undo this step, or start a new search.",
};
const UNDONE = ["unknown_item", "invalid_query", "image_missing"];
const PICTURE_REJECTED = ["invalid_image", "too_large"];

/**
 * Whether the service did not accept the picture of the last step.
 * @param {unknown} error
 */
export const isPictureRejected = (error) =>
  error instanceof Problem &&
  PICTURE_REJECTED.includes(error.code) &&
  Boolean(state.turns.at(-1)?.upload);

/**
 * Show what went wrong.
 * @param {unknown} problem
 * @param {() => unknown} again What the button of the message does.
 */
export function showProblem(problem, again) {
  const known = problem instanceof Problem;
  if (!known) console.error(problem);
  const code = known ? problem.code : "broken";
  const message = problem instanceof Error ? problem.message : String(problem);
  const undoes = UNDONE.includes(code) && state.turns.length > 0;
  if (undoes || !shown.count) clearResults();
  const label = PICTURE_REJECTED.includes(code) ? "Choose another picture" : "Try again";
  showMessage(TITLES[code] ?? "That did not work", ADVICE[code] ?? message, {
    button: undoes ? "Undo" : label,
    action: undoes ? undo : again,
    isProblem: true,
  });
  find("message").scrollIntoView({ block: "nearest" });
}
