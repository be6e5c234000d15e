// What the page knows of the gallery and its photos.

import { call, itemPath } from "./api.js";
import { find } from "./elements.js";

/** @typedef {import("./api.js").Facet} Facet */
/** @typedef {import("./api.js").Metadata} Metadata */

const FACET_VALUES = 24;

/** @type {{title: string, photos: number, maximumUpload: number, facets: Facet[],
 *   roles: import("./api.js").Roles, words: string[]}} */
export const gallery = {
  title: "Search",
  photos: 0,
  maximumUpload: Infinity,
  facets: [],
  roles: { title: null, link: null, price: null, group: null },
  words: [],
};

/** @type {Map<string, Metadata>} */
export const known = new Map(); // the metadata of photos that were shown

/**
 * Return the value of the column that has a role; null where there is none.
 * @param {string} id
 * @param {keyof import("./api.js").Roles} role
 */
function valueOf(id, role) {
  const column = gallery.roles[role];
  return column === null ? null : (known.get(id)?.[column] ?? null);
}

/**
 * Return what people call a photo.
 * @param {string} id
 */
export const nameOf = (id) => String(valueOf(id, "title") ?? id);

/**
 * Return a photo's price as people read it.
 * @param {string} id
 */
export function priceOf(id) {
  const price = valueOf(id, "price");
  if (typeof price !== "number") return price;
  const digits = Number.isInteger(price) ? 0 : 2;
  return price.toLocaleString(undefined, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/**
 * Return the address of a photo's product page.
 * @param {string} id
 */
export const linkOf = (id) => safeAddress(valueOf(id, "link"));

/**
 * Return an address of the web; null for anything else, such as a script.
 * @param {import("./api.js").Cell} value
 */
export function safeAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value)) return null;
  return URL.canParse(value) ? value : null;
}

/**
 * Return a column's name as people would write it: `baseColour` is "Base colour".
 * @param {string} column
 */
export function plainName(column) {
  const words = column.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Read what there is to search, and show the gallery's name. */
export async function readGallery() {
  const [about, facets] = await Promise.all([
    /** @type {Promise<import("./api.js").Gallery>} */ (readJson("gallery")),
    /** @type {Promise<{facets: Facet[]}>} */ (readJson(`facets?limit=${FACET_VALUES}`)),
  ]);
  gallery.title = about.title;
  gallery.photos = about.photos;
  gallery.maximumUpload = about.limits.maximum_upload;
  gallery.facets = facets.facets;
  gallery.roles = about.roles;
  gallery.words = about.words;
  document.title = gallery.title;
  find("title").textContent = gallery.title;
  find("count").textContent = counted(gallery.photos, "photo");
}

/**
 * Return a number and its noun: "1 photo", "2,000 photos".
 * @param {number} number
 * @param {string} noun
 */
export const counted = (number, noun) =>
  `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

/** @param {string} path */
const readJson = async (path) => (await call(path)).json();

const CODE = /(^|[_ ])(id|sku|ean|gtin|upc|code|number|nr)$/i;

/** Return the columns of numbers and dates that a range can narrow. */
export const rangeFacets = () =>
  gallery.facets.filter((facet) => {
    const measures = facet.kind !== "text" || facet.is_date;
    const differs = facet.minimum !== facet.maximum;
    const isCode = CODE.test(plainName(facet.name)) || facet.name === gallery.roles.group;
    return measures && differs && !isCode && facet.filled >= gallery.photos / 10;
  });

/**
 * Return how many photos have one of the values that are listed.
 * @param {Facet} facet
 */
export const countOf = (facet) => facet.values.reduce((sum, { count }) => sum + count, 0);

/**
 * Read the names of photos that a link names, so that the trail can show them.
 * @param {import("./turns.js").Turn[]} turns
 */
export async function readNames(turns) {
  const named = turns.flatMap((turn) => [turn.item ?? "", ...turn.more_like, ...turn.less_like]);
  const ids = [...new Set(named)].filter(Boolean);
  const read = ids.map(async (id) => {
    known.set(id, (await readJson(`items/${itemPath(id)}`)).metadata);
  });
  await Promise.allSettled(read); // the search itself will say which photo is gone
}
