"""Finding the photos of a folder, naming them, and checking them for changes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from tmcir.core.errors import ImageError
from tmcir.core.folders import is_below, no_images, scan_images
from tmcir.core.images import check_file, image_name, jpeg_thumbnail, read_image_at
from tmcir.gallery.stores.base import FileState, is_text


@dataclass(frozen=True, slots=True)
class Photo:
    """A file to index, and the name it has in the gallery."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class Look:
    """Result of looking at a photo: an image to encode, an unchanged file, or a reason to skip it.

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


@dataclass(frozen=True, slots=True)
class FoundPhotos:
    """The photos to index.

    Attributes:
        photos: The photos.
        skipped: (name, reason) of files that are no photos, or could not be read.
        notes: One line about the files that are skipped in a folder.
        root: The folder; None for a list of files.
        unreadable: Relative paths of folders and files that could not be read.
    """

    photos: list[Photo]
    skipped: list[tuple[str, str]]
    notes: list[str]
    root: Path | None = None
    unreadable: frozenset[str] = frozenset()

    def without(self, removed: Collection[str]) -> FoundPhotos:
        """Return the photos that were not removed from the gallery, with a note on the others."""
        kept = [photo for photo in self.photos if photo.id not in removed]
        count = len(self.photos) - len(kept)
        if not count:
            return self
        photos = "removed photo stays" if count == 1 else "removed photos stay"
        note = f"{count:,} {photos} removed; `tmcir gallery restore` restores them"
        return replace(self, photos=kept, notes=[*self.notes, note])

    def may_still_have(self, name: str) -> bool:
        """Return whether a photo that was not found may still exist.

        It may if its folder could not be read, or if a link in its place leads out of the
        folder or to a disk that is not mounted.
        """
        if self.root is None:
            return False
        return is_below(name, self.unreadable) or (self.root / name).is_symlink()


def find_photos(
    photos: str | Path | Iterable[str | Path], table: str | Path | None = None
) -> FoundPhotos:
    """Name the photos of a folder by relative path, those of a list by file name.

    ``table`` is the photos' table, which may lie in the folder.

    Skipped are names that are no valid text, and those given twice.

    Raises:
        TMCIRError: The folder is missing.
    """
    if isinstance(photos, str | Path):
        root = Path(photos)
        folder = scan_images(root, None if table is None else Path(table))
        named = [Photo(path.relative_to(root).as_posix(), path) for path in folder.files]
        kept, skipped = _named_once(named)
        notes = [] if folder.files else [no_images(root)]
        notes += [folder.skipped_note] if folder.skipped else []
        unreadable = frozenset(name for name, _ in folder.unreadable)
        return FoundPhotos(kept, [*folder.unreadable, *skipped], notes, root, unreadable)
    kept, skipped = _named_once([Photo(Path(path).name, Path(path)) for path in photos])
    return FoundPhotos(kept, skipped, [])


def _named_once(found: Iterable[Photo]) -> tuple[list[Photo], list[tuple[str, str]]]:
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
        # decoded as a model decodes a file, so that the vector is that of `encode_images`
        image, larger = read_image_at(photo.path, [image_size, max(image_size, side)])
        return Look(photo.id, state, image, jpeg_thumbnail(larger, side))
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
