// Finding and making elements. Text never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return the element of the page with this id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {{new (): T, prototype: T}} kind
 * @returns {T}
 */
function findKind(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return element;
}

/** @param {string} id */
export const find = (id) => findKind(id, HTMLElement);
/** @param {string} id */
export const findButton = (id) => findKind(id, HTMLButtonElement);
/** @param {string} id */
export const findInput = (id) => findKind(id, HTMLInputElement);
/** @param {string} id */
export const findImage = (id) => findKind(id, HTMLImageElement);
/** @param {string} id */
export const findSelect = (id) => findKind(id, HTMLSelectElement);
/** @param {string} id */
export const findDialog = (id) => findKind(id, HTMLDialogElement);

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Partial<HTMLElementTagNameMap[K]>} properties
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/**
 * Make an element of a drawing.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function makeSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, String(value)));
  element.append(...children);
  return element;
}
