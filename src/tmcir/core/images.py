"""Reading images from real folders: every kind of file, and one clear line where one is broken."""

from __future__ import annotations

import base64
import io
import os
import re
import stat
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from tmcir.core.errors import ImageError, TMCIRError
from tmcir.core.text import on_one_line

#: Kinds of file that are decoded. A short list: every decoder is a door for hostile files.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: File name endings that `list_images` takes for images, in lower case.
# fmt: off
EXTENSIONS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".avif",
])
# fmt: on
#: Images with more pixels than this are refused before they are decoded (300 MB as RGB).
MAXIMUM_PIXELS = 100_000_000
#: Files larger than this are refused before they are opened.
MAXIMUM_BYTES = 256 * 1024 * 1024
#: An image longer than this many times its width would grow huge when its short side is resized.
MAXIMUM_ASPECT = 200

_PILLOW = re.compile(r"PIL\.")
_FILTER_LOCK = threading.Lock()
# round(value * 255 / 65535) for every 16-bit value
_EIGHT_BITS = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def read_image(
    source: str | Path | Image.Image,
    minimum_side: int | None = None,
    *,
    maximum_pixels: int = MAXIMUM_PIXELS,
) -> Image.Image:
    """Decode an image completely, upright and in mode RGB.

    Transparent pixels are laid on white; 16-bit and float pixels are scaled to 8 bits; of an
    animation the first frame is taken. A truncated file counts as broken: half a grey photo gets
    an embedding that matches other half photos, and nobody would ever know why. Reading changes
    no state of Pillow, so threads may read at the same time.

    Args:
        source: A file, or an image that is already open. An open image is left as it is.
        minimum_side: Lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, which is several times
            faster, as long as both sides keep at least this many pixels. Whatever still has four
            times as many is reduced to no less than twice as many, so that images waiting to be
            encoded are small. None: full size.
        maximum_pixels: Limit by the size in the header, checked before any pixel is decoded.
            Pillow itself refuses more than 179 million whatever is given here.

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
        path = Path(source)
        check_file(path)
        with path.open("rb") as stream:
            return _read_stream(stream, minimum_side, maximum_pixels)
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
        return _read_stream(stream, minimum_side, maximum_pixels)
    except Exception as error:
        raise ImageError(_reason(error)) from error


def check_image(path: str | Path) -> str | None:
    """Return why a file is broken (one line, without its name), or None when it decodes fully."""
    try:
        read_image(path)
    except ImageError as error:
        return str(error).removeprefix(f"{image_name(path)}: ")
    return None


def list_images(folder: str | Path) -> list[Path]:
    """Return the image files in a folder and the folders below it, sorted by relative path.

    Files count by their ending (`EXTENSIONS`, any case). Hidden files and folders are left out, and
    so are links to folders and links to files outside ``folder``: nothing is found twice, and a
    link in an upload folder cannot publish the rest of the disk.

    Raises:
        TMCIRError: There is no such folder, or it cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise TMCIRError(f"{image_name(root)}: no such folder")
    if not os.access(root, os.R_OK | os.X_OK):
        raise TMCIRError(f"{image_name(root)}: no permission to read this folder")
    inside = root.resolve()
    found: list[Path] = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]  # where walk goes next
        found += (Path(place, name) for name in names if _is_image_name(name))
    kept = [path for path in found if _is_file_within(path, inside)]
    return sorted(kept, key=lambda path: path.relative_to(root).as_posix())


def image_name(source: str | Path | Image.Image) -> str:
    """Return how messages name an image: on one line, whatever its file name holds."""
    if isinstance(source, Image.Image):
        source = getattr(source, "filename", "") or "image in memory"
    return on_one_line(str(source))


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS


def _is_file_within(path: Path, inside: Path) -> bool:
    if not path.is_symlink():
        return path.is_file()
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # dangling, or a circle of links
        return False
    return target.is_file() and target.is_relative_to(inside)


def check_file(path: Path) -> None:
    """Refuse what must not be opened at all: folders, pipes, empty and enormous files.

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


def _read_stream(stream: BinaryIO, minimum_side: int | None, maximum_pixels: int) -> Image.Image:
    image = Image.open(stream, formats=_formats())
    if minimum_side is not None and image.format in ("JPEG", "MPO"):
        _check_size(image, maximum_pixels)
        image.draft(None, (minimum_side, minimum_side))
    return _reduced(_decode(image, maximum_pixels), minimum_side)


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
    if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        # Adobe writes CMYK inverted, and Pillow takes every CMYK file for Adobe's
        image = ImageChops.invert(image)
    return _to_rgb(_upright(image))


def _reduced(image: Image.Image, minimum_side: int | None) -> Image.Image:
    if minimum_side is None or min(image.size) < 4 * minimum_side:
        return image
    return image.reduce(min(image.size) // (2 * minimum_side))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data does not make the pixels any worse
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image)).convert("RGB")
    if image.mode == "F":
        return _from_floats(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        page = Image.new("RGB", coloured.size, "white")
        page.paste(coloured, mask=coloured.getchannel("A"))
        return page
    return image.convert("RGB")


def _from_integers(values: NDArray[np.integer]) -> Image.Image:
    # Files of 32 bits state no range. Those that hold 16 bits are read as such, others stretched.
    if values.min() >= 0 and values.max() <= 65535:
        return Image.fromarray(_EIGHT_BITS[values])
    return _from_floats(values.astype(np.float32))


def _from_floats(values: NDArray[np.float32]) -> Image.Image:
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    if low < 0 or high > 255:  # neither of the two usual ranges: stretch what is there
        low = float(values.min())
        values = (values - low) / (high - low or 1.0)
        high = 1.0
    scale = 255.0 if high <= 1 else 1.0
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))


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
