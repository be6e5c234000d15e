"""Photos before they are indexed: found in a folder, named, and looked at for changes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from tmcir.core.errors import ImageError
from tmcir.core.images import check_file, image_name, jpeg_thumbnail, list_images, read_image
from tmcir.gallery.stores.base import FileState, is_text


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to index, and the name it has in the gallery."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a photo found: an image to encode, an unchanged file, or a reason to skip.

    Attributes:
        id: The photo's name in the gallery.
        state: The file's state; None for a photo to skip.
        image: A new or changed photo, decoded; None for any other.
        thumbnail: Its JPEG thumbnail.
        reason: Why the photo is skipped; None where it is not.
    """

    id: str
    state: FileState | None = None
    image: Image.Image | None = None
    thumbnail: bytes | None = None
    reason: str | None = None


def find_photos(
    photos: str | Path | Iterable[str | Path],
) -> tuple[list[Photo], list[tuple[str, str]]]:
    """Name the photos of a folder by relative path, those of a list by file name.

    Returns:
        The photos, and (name, reason) of those to skip: their names are no valid text, or given
        twice.

    Raises:
        TMCIRError: The folder is missing.
    """
    if isinstance(photos, str | Path):
        folder = Path(photos)
        found = [Photo(path.relative_to(folder).as_posix(), path) for path in list_images(folder)]
    else:
        found = [Photo(Path(path).name, Path(path)) for path in photos]
    kept: dict[str, Photo] = {}
    skipped: list[tuple[str, str]] = []
    for photo in found:
        if photo.id in kept:
            reason = f"{image_name(kept[photo.id].path)} has the same name"
        elif not is_text(photo.id) or not is_text(str(photo.path)):
            reason = "its name is not valid UTF-8"
        else:
            kept[photo.id] = photo
            continue
        skipped.append((image_name(photo.path), reason))
    return list(kept.values()), skipped


def look_at(photo: Photo, known: FileState | None, image_size: int) -> Look:
    """Look at a photo, and decode it if it is new or its bytes have changed.

    Args:
        photo: The photo.
        known: Its state when it was indexed; None for a new one.
        image_size: Side of the square that the model reads, in pixels.
    """
    try:
        state = file_state(photo.path, known)
        if known is not None and state.content_hash == known.content_hash:
            return Look(photo.id, state)
        side = thumbnail_side(image_size)
        image = read_image(photo.path, max(image_size, side))
        thumbnail = jpeg_thumbnail(image, side)
        # smaller, because many wait for the encoder
        return Look(photo.id, state, read_image(image, image_size), thumbnail)
    except ImageError as error:
        return Look(photo.id, reason=str(error).removeprefix(f"{image_name(photo.path)}: "))
    except OSError as error:
        return Look(photo.id, reason=(error.strerror or str(error)).lower())


def thumbnail_side(image_size: int) -> int:
    """Return the longest side of stored thumbnails, in pixels, for a model's image size.

    A thumbnail stands in for its photo as a query's reference when the photo is gone: so even the
    shorter side of a 3:4 photo has what the model reads, up to a limit.
    """
    return min(384, max(256, math.ceil(image_size * 4 / 3)))


def file_state(path: Path, known: FileState | None) -> FileState:
    """Return a file's state; a file of the known path, size and time is not read to hash it.

    Raises:
        ImageError: It is no file to be read. One line without its name.
        OSError: It cannot be read.
    """
    status = path.stat()
    # taken before the bytes are read: a change in between is seen by the next run
    state = FileState(str(path.absolute()), status.st_size, status.st_mtime_ns, "")
    if known is not None and state == replace(known, content_hash=""):
        return known
    check_file(path)  # hashing a pipe would wait for ever
    with path.open("rb") as file:
        return replace(state, content_hash=hashlib.file_digest(file, _new_hash).hexdigest())


def _new_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
