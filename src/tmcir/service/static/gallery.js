// What the page knows of the gallery and its photos.

import { call, itemPath } from "./api.js";
import { find } from "./elements.js";

/** @typedef {import("./api.js").Facet} Facet */
/** @typedef {import("./api.js").Metadata} Metadata */

const FACET_VALUES = 24;

/** @type {{title: string, photos: number, maximumUpload: number, facets: Facet[],
 *   nameColumn: string | null}} */
export const gallery = {
  title: "Search",
  photos: 0,
  maximumUpload: Infinity,
  facets: [],
  nameColumn: null,
};

/** @type {Map<string, Metadata>} */
export const known = new Map(); // the metadata of photos that were shown

/**
 * Return what people call a photo.
 * @param {string} id
 */
export function nameOf(id) {
  const name = gallery.nameColumn === null ? null : known.get(id)?.[gallery.nameColumn];
  return name === undefined || name === null ? id : String(name);
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
  gallery.nameColumn = guessNameColumn();
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

/** Return the column that names photos best: text whose values are hardly ever the same. */
function guessNameColumn() {
  const most = Math.max(2, gallery.photos / 100);
  const names = gallery.facets
    .filter((facet) => facet.kind === "text" && !facet.complete && meanCount(facet) <= most)
    .sort((one, other) => meanCount(one) - meanCount(other));
  return names[0]?.name ?? null;
}

/** @param {Facet} facet */
const meanCount = (facet) => countOf(facet) / Math.max(1, facet.values.length);

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
