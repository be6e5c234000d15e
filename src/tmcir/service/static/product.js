// The details of one photo: all that the table says of it, its page, and its other photos.

import { rate, startFrom } from "./actions.js";
import { call, itemPath } from "./api.js";
import { find, findDialog, make } from "./elements.js";
import { gallery, known, linkOf, nameOf, plainName, priceOf, safeAddress } from "./gallery.js";
import { thumbnail } from "./pictures.js";
import { showProblem } from "./problems.js";

/** @typedef {import("./api.js").Cell} Cell */

/**
 * Show a photo's details.
 * @param {string} id
 * @param {string[]} others Ids of other photos of the same product.
 */
export async function showProduct(id, others) {
  try {
    if (!known.has(id)) {
      const item = await (await call(`items/${itemPath(id)}`)).json();
      known.set(id, item.metadata);
    }
  } catch (error) {
    findDialog("product").close();
    showProblem(error, () => showProduct(id, others));
    return;
  }
  find("product-title").textContent = nameOf(id);
  find("product-picture").replaceChildren(thumbnail(id, nameOf(id)));
  find("product-price").textContent = priceOf(id) ?? "";
  find("product-price").hidden = priceOf(id) === null;
  showLink(id);
  find("product-columns").replaceChildren(...columns(id));
  showOthers(id, others);
  find("product-actions").replaceChildren(
    action("Start from this", "primary", () => startFrom(id)),
    action("More like this", "quiet", () => rate(id, "more_like")),
    action("Not like this", "quiet", () => rate(id, "less_like")),
  );
  if (!findDialog("product").open) findDialog("product").showModal();
  find("product-title").focus();
}

/** @param {string} id */
function showLink(id) {
  const address = linkOf(id);
  const link = find("product-link");
  link.hidden = address === null;
  if (address === null) link.removeAttribute("href");
  else link.setAttribute("href", address);
}

/** @param {string} id */
function columns(id) {
  const { title, link, price } = gallery.roles; // these are shown already
  const filled = Object.entries(known.get(id) ?? {}).filter(
    ([column, value]) => value !== null && ![title, link, price].includes(column),
  );
  return [...filled, ["Photo", id]].map(([column, value]) =>
    make(
      "div",
      {},
      make("dt", { textContent: plainName(String(column)) }),
      make("dd", {}, cell(/** @type {Cell} */ (value))),
    ),
  );
}

/** @param {Cell} value */
function cell(value) {
  const address = safeAddress(value);
  if (address === null) return String(value);
  const [target, rel] = ["_blank", "noopener noreferrer"];
  return make("a", { href: address, target, rel, textContent: String(value) });
}

/**
 * @param {string} id
 * @param {string[]} others
 */
function showOthers(id, others) {
  const all = [...new Set(others)];
  find("product-others-group").hidden = !all.length;
  const buttons = all.map((other) => {
    const button = make("button", { type: "button", className: "picture" }, thumbnail(other));
    button.setAttribute("aria-label", `Show ${nameOf(other)}`);
    button.addEventListener("click", () =>
      showProduct(other, [id, ...all].filter((one) => one !== other)),
    );
    return make("li", {}, button);
  });
  find("product-others").replaceChildren(...buttons);
}

/**
 * @param {string} textContent
 * @param {string} className
 * @param {() => void} act
 */
function action(textContent, className, act) {
  const button = make("button", { type: "button", className, textContent });
  button.addEventListener("click", () => {
    findDialog("product").close();
    act();
  });
  return button;
}
