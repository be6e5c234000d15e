// Thumbnails, and pictures that people add.

import { call, hasKey, itemPath } from "./api.js";
import { make } from "./elements.js";

const MAXIMUM_SIDE = 1024; // pixels; larger pictures are scaled down before they are sent
const SMALL_FILE = 400_000; // bytes; files up to this size are sent as they are

/**
 * @param {string} id
 * @param {string} alternative
 */
export function thumbnail(id, alternative = "") {
  const image = make("img", { alt: alternative, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.classList.add("unseen"));
  image.addEventListener("load", () => URL.revokeObjectURL(image.src)); // of a blob: address only
  setThumbnail(image, id);
  return image;
}

/**
 * @param {HTMLImageElement} image
 * @param {string} id
 */
export function setThumbnail(image, id) {
  thumbnailAddress(id).then((address) => image.setAttribute("src", address), () => {});
}

/** @param {string} id */
export async function thumbnailAddress(id) {
  const path = `thumbnails/${itemPath(id)}`;
  if (!hasKey()) return `api/v1/${path}`;
  return URL.createObjectURL(await (await call(path)).blob());
}

/**
 * Return a picture, scaled down where it is large.
 * @param {File} file
 * @returns {Promise<Blob>}
 */
export async function shrink(file) {
  if (file.size <= SMALL_FILE) return file;
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, MAXIMUM_SIDE / Math.max(bitmap.width, bitmap.height));
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d");
    if (!context) return file;
    context.fillStyle = "white"; // behind what is transparent
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    const blob = await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.9); });
    return blob ?? file;
  } catch {
    return file; // a format that this browser cannot read; the service may
  }
}
