// The service's API: its types, one function that calls it, and the key that opens it.

import { find, findDialog, findInput } from "./elements.js";

/** @typedef {string | number | null} Cell */
/** @typedef {Record<string, Cell>} Metadata */

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {Metadata} metadata
 * @property {string} thumbnail
 */

/**
 * @typedef {object} Hit
 * @property {number} rank
 * @property {string} id
 * @property {number} score
 * @property {number} relevance
 * @property {Metadata} metadata
 * @property {string[]} duplicates
 * @property {string[]} grouped
 * @property {string} thumbnail
 */

/**
 * @typedef {object} Term
 * @property {string | null} text
 * @property {string | null} item
 * @property {number} weight
 */

/**
 * @typedef {object} Query
 * @property {string | null} item
 * @property {boolean} upload
 * @property {string} text
 * @property {number} balance
 * @property {string[]} more_like
 * @property {string[]} less_like
 * @property {Term[]} terms
 * @property {string} unread
 */

/**
 * @typedef {object} Search
 * @property {Hit[]} hits
 * @property {number | null} next_offset
 * @property {Query} query
 */

/** @typedef {"integer" | "number" | "text"} Kind */

/**
 * @typedef {object} Value
 * @property {Cell} value
 * @property {number} count
 */

/**
 * @typedef {object} Facet
 * @property {string} name
 * @property {Kind} kind
 * @property {Value[]} values
 * @property {boolean} complete
 * @property {number} distinct
 * @property {number} filled
 * @property {Cell} minimum
 * @property {Cell} maximum
 * @property {boolean} is_date
 */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {Kind} kind
 */

/**
 * @typedef {object} Limits
 * @property {number} maximum_upload
 * @property {number} maximum_pixels
 * @property {number} maximum_text
 * @property {number} maximum_turns
 * @property {number} maximum_k
 * @property {number} maximum_offset
 */

/**
 * @typedef {object} Roles
 * @property {string | null} title
 * @property {string | null} link
 * @property {string | null} price
 * @property {string | null} group
 */

/**
 * @typedef {object} Gallery
 * @property {string} title
 * @property {number} photos
 * @property {string} model
 * @property {Column[]} columns
 * @property {Roles} roles
 * @property {string[]} words
 * @property {Limits} limits
 */

/**
 * @typedef {object} Patch
 * @property {number} row
 * @property {number} column
 * @property {number} weight
 */

/**
 * @typedef {object} Word
 * @property {string} text
 * @property {Patch[]} patches
 * @property {number | null} image_share
 */

/**
 * @typedef {object} Gate
 * @property {number} image
 * @property {number} text
 */

/**
 * @typedef {object} Grid
 * @property {number} rows
 * @property {number} columns
 */

/**
 * @typedef {object} Region
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 */

/**
 * @typedef {object} Similarity
 * @property {number} image
 * @property {number} text
 */

/**
 * @typedef {object} Explain
 * @property {Gate | null} gate
 * @property {Similarity | null} similarity
 * @property {boolean} patches_matter
 * @property {Word[]} words
 * @property {Grid} grid
 * @property {Region | null} region
 * @property {number | null} matched_share
 * @property {number | null} threshold
 * @property {string} unread
 */

const ATTEMPTS = 3;
const STORED_KEY = "tmcir-key";

let apiKey = sessionStorage.getItem(STORED_KEY);

/** An answer of the service that is an error. */
export class Problem extends Error {
  /**
   * @param {number} status 0 where there was no answer.
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Whether a request was cancelled by the page itself.
 * @param {unknown} error
 */
export const isCancelled = (error) => error instanceof DOMException && error.name === "AbortError";

/** Whether requests carry a key. An `<img>` cannot send one. */
export const hasKey = () => Boolean(apiKey);

/**
 * Call a route: ask for a key where one is missing, and try again where the service is busy.
 * @param {string} path Below `api/v1/`.
 * @param {{method?: string, headers?: Record<string, string>, body?: BodyInit,
 *   signal?: AbortSignal}} options
 * @returns {Promise<Response>}
 * @throws {Problem}
 */
export async function call(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(path, options);
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({ error: {} }));
    if (response.status === 401) {
      await askForKey(hasKey());
    } else if (error?.code === "busy" && attempt < ATTEMPTS) {
      await pause(Number(response.headers.get("Retry-After") ?? 1));
    } else {
      const message = error?.message ?? "The service failed.";
      throw new Problem(response.status, error?.code ?? "", message);
    }
  }
}

/**
 * @param {string} path
 * @param {{headers?: Record<string, string>}} options
 */
async function send(path, options) {
  const headers = { ...options.headers };
  if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
  try {
    return await fetch(`api/v1/${path}`, { ...options, headers });
  } catch (error) {
    if (isCancelled(error)) throw error;
    throw new Problem(0, "unreachable", "The search service cannot be reached.");
  }
}

/** @param {number} seconds */
const pause = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

/**
 * Send a search or a request for an explanation, with its picture where it has one.
 * @param {string} route
 * @param {object} body
 * @param {Blob | null} picture
 * @param {AbortSignal} [signal]
 */
export function post(route, body, picture, signal) {
  const query = JSON.stringify(body);
  if (picture === null) {
    const headers = { "Content-Type": "application/json" };
    return call(route, { method: "POST", headers, body: query, signal });
  }
  const form = new FormData();
  form.append("image", picture, "picture");
  form.append("query", query);
  return call(`${route}/upload`, { method: "POST", body: form, signal });
}

/**
 * Return the path of a photo below `items/` or `thumbnails/`.
 * @param {string} id
 */
export const itemPath = (id) => id.split("/").map(encodeURIComponent).join("/");

/** @param {boolean} wasWrong */
function askForKey(wasWrong) {
  const dialog = findDialog("key-dialog");
  if (wasWrong) find("key-text").textContent = "That key does not open it. Try another one.";
  findInput("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => {
    find("key-form").addEventListener(
      "submit",
      () => {
        apiKey = findInput("key").value.trim();
        sessionStorage.setItem(STORED_KEY, apiKey);
        done(null);
      },
      { once: true },
    );
  });
}
