"""Decoding images: many kinds of file, and one line about a broken one."""

from __future__ import annotations

import base64
import io
import re
import stat
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from tmcir.core.errors import ImageError
from tmcir.core.file_kinds import HEAD, kind_of_file
from tmcir.core.pixels import upright_rgb
from tmcir.core.text import on_one_line

#: Kinds of file that are decoded. A short list: every decoder is a door for hostile files.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: Images with more pixels than this are rejected before they are decoded (300 MB as RGB).
MAXIMUM_PIXELS = 100_000_000
#: Files larger than this are rejected before they are opened.
MAXIMUM_BYTES = 256 * 1024 * 1024
#: An image longer than this many times its width would grow huge when its short side is resized.
MAXIMUM_ASPECT = 200

_PILLOW = re.compile(r"PIL\.")
_ADDRESS = re.compile(r"(https?|ftp|s3|gs|data):", re.IGNORECASE)
_FILTER_LOCK = threading.Lock()


def read_image(
    source: str | Path | Image.Image,
    minimum_side: int | None = None,
    *,
    maximum_pixels: int = MAXIMUM_PIXELS,
) -> Image.Image:
    """Decode an image completely, upright and in mode RGB.

    Transparent pixels are laid on white; 16-bit and float pixels are scaled to 8 bits; colours are
    converted to sRGB by the profile that the file has; of an animation the first frame is taken. A
    truncated file counts as broken: half a grey photo gets an embedding that matches other half
    photos, and nobody would ever know why. Reading changes no state of Pillow, so threads may read
    at the same time.

    Args:
        source: A file, or an image that is already open. An open image is left as it is.
        minimum_side: Lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, which is several times
            faster, as long as both sides keep at least this many pixels. Whatever still has four
            times as many is reduced to no less than twice as many, so that images waiting to be
            encoded are small. None: full size.
        maximum_pixels: Limit by the size in the header, checked before any pixel is decoded.
            Pillow itself rejects more than 179 million, whatever is given here.

    Returns:
        An image in mode RGB; of ``minimum_side`` or more pixels a side where the file has them.

    Raises:
        ImageError: The file is missing, not an image, broken or too large. One line that names it.
    """
    _silence_pillow()
    name = image_name(source)
    # A decoder may fail on hostile bytes with any exception at all, so all of them are caught.
    try:
        if isinstance(source, Image.Image):
            return _reduced(_decode(source, maximum_pixels), minimum_side)
        return _read_file(Path(source), [minimum_side], maximum_pixels)[0]
    except Exception as error:
        raise ImageError(f"{name}: {_reason(error)}") from error


def read_image_stream(
    stream: BinaryIO, minimum_side: int | None = None, *, maximum_pixels: int = MAXIMUM_PIXELS
) -> Image.Image:
    """Decode an open file, such as an upload, as `read_image` does.

    Args:
        stream: Can be read and positioned; it stays open.
        minimum_side: As for `read_image`.
        maximum_pixels: As for `read_image`.

    Raises:
        ImageError: It is empty, not an image, broken or too large. One line without a name.
    """
    _silence_pillow()
    try:
        if not stream.read(1):
            raise ImageError("empty file")
        stream.seek(0)
        return _read_stream(stream, [minimum_side], maximum_pixels)[0]
    except Exception as error:
        raise ImageError(_reason(error)) from error


def read_image_at(path: str | Path, sides: Sequence[int]) -> list[Image.Image]:
    """Decode a file for several uses: each image is what `read_image` returns for one side.

    A JPEG is decoded once for each of the scales that the sides ask for, anything else once.

    Raises:
        ImageError: As for `read_image`.
    """
    _silence_pillow()
    try:
        return _read_file(Path(path), sides, MAXIMUM_PIXELS)
    except Exception as error:
        raise ImageError(f"{image_name(path)}: {_reason(error)}") from error


def check_image(path: str | Path) -> str | None:
    """Return why a file is broken (one line, without its name), or None when it decodes fully."""
    try:
        read_image(path)
    except ImageError as error:
        return str(error).removeprefix(f"{image_name(path)}: ")
    return None


def image_name(source: str | Path | Image.Image) -> str:
    """Return an image's name for messages, on one line."""
    if isinstance(source, Image.Image):
        source = getattr(source, "filename", "") or "image in memory"
    return on_one_line(str(source))


def check_file(path: Path) -> None:
    """Reject what must not be opened at all: folders, pipes, empty and enormous files.

    Raises:
        ImageError: One line without the file's name.
        OSError: The file is missing.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("a folder, not an image")
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise ImageError("not a regular file")
    if status.st_size == 0:
        raise ImageError("empty file")
    if status.st_size > MAXIMUM_BYTES:
        raise ImageError(f"{status.st_size:,} bytes, more than the limit of {MAXIMUM_BYTES:,}")


def _read_stream(
    stream: BinaryIO, sides: Sequence[int | None], maximum_pixels: int
) -> list[Image.Image]:
    """Return the image once for each side, decoded as often as JPEG's scales differ."""
    decoded: dict[tuple[int, int], Image.Image] = {}
    images: list[Image.Image] = []
    for side in sides:
        stream.seek(0)
        image = _open(stream)
        if side is not None and image.format in ("JPEG", "MPO"):
            _check_size(image, maximum_pixels)
            image.draft(None, (side, side))
        scaled = image.size
        if scaled not in decoded:
            decoded[scaled] = _decode(image, maximum_pixels)
        images.append(_reduced(decoded[scaled], side))
    return images


def _open(stream: BinaryIO) -> Image.Image:
    try:
        return Image.open(stream, formats=_formats())
    except UnidentifiedImageError:
        stream.seek(0)
        kind = kind_of_file(stream.read(HEAD))
        if kind is None:
            raise
        if kind.startswith("a damaged"):
            raise ImageError(f"broken image: {kind}") from None
        raise ImageError(f"is {kind}; {', '.join(_formats())} can be read") from None


def _read_file(path: Path, sides: Sequence[int | None], maximum_pixels: int) -> list[Image.Image]:
    if _ADDRESS.match(str(path)) and not path.exists():  # a path has lost one of its slashes
        raise ImageError("is an address, and images are read from files: download it first")
    check_file(path)
    with path.open("rb") as stream:
        return _read_stream(stream, sides, maximum_pixels)


def _check_size(image: Image.Image, maximum_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("has no pixels")
    if width * height > maximum_pixels:
        raise ImageError(
            f"{width} x {height} pixels, more than the limit of {maximum_pixels:,} in all"
        )
    if max(width, height) > MAXIMUM_ASPECT * min(width, height):
        raise ImageError(
            f"{width} x {height} pixels, more than {MAXIMUM_ASPECT} times as long as wide"
        )


def _decode(image: Image.Image, maximum_pixels: int) -> Image.Image:
    _check_size(image, maximum_pixels)
    image.load()
    return upright_rgb(image)


def _reduced(image: Image.Image, minimum_side: int | None) -> Image.Image:
    if minimum_side is None or min(image.size) < 4 * minimum_side:
        return image
    return image.reduce(min(image.size) // (2 * minimum_side))


@cache
def _formats() -> tuple[str, ...]:
    # Pillow may be built without some; naming one that is not there would be a KeyError
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _silence_pillow() -> None:
    # Pillow warns about files (damaged EXIF, many pixels) that are either read well or reported
    # here. `warnings.catch_warnings` is not safe between threads, so the filter stays once it is
    # there; it is looked for each time, because others restore the list of filters.
    with _FILTER_LOCK:
        for category in (UserWarning, Image.DecompressionBombWarning):
            known = ((entry[2], entry[3]) for entry in warnings.filters)
            if (category, _PILLOW) not in known:
                warnings.filterwarnings("ignore", category=category, module=_PILLOW.pattern)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image ({', '.join(_formats())} can be read)"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, ImageError):
        return str(error)
    words = " ".join(str(error).split()) or type(error).__name__
    return f"broken image: {words}"


def jpeg_thumbnail(image: Image.Image, side: int, maximum_bytes: int = 48_000) -> bytes:
    """Return an RGB image as a JPEG of at most ``side`` pixels a side; it is never enlarged.

    Few photos reach ``maximum_bytes``. Those lose quality, and then size, until they fit.
    """
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    while True:
        for quality in (85, 65, 45):
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality)
            if buffer.tell() <= maximum_bytes or max(small.size) < 2:
                return buffer.getvalue()
        small = small.reduce(2)


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG file as a data URI, for pages that need nothing else."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def thumbnail(source: str | Path | Image.Image, side: int) -> str:
    """Return an image of at most ``side`` pixels a side as a data URI; "" if it can't be read."""
    try:
        return data_uri(jpeg_thumbnail(read_image(source, side), side))
    except ImageError:
        return ""
