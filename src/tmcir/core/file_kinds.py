"""The kind of a file that cannot be decoded, by its first bytes."""

from __future__ import annotations

import re

#: Bytes that `kind_of_file` needs.
HEAD = 512
_LFS = b"version https://git-lfs"
# (offset, bytes, what it is); an unusual kind, such as raw files of cameras, comes before TIFF.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a damaged JPEG file"),
    (0, b"\x89PNG\r\n\x1a\n", "a damaged PNG file"),
    (0, b"GIF8", "a damaged GIF file"),
    (8, b"WEBP", "a damaged WebP file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (4, b"JXL \r\n\x87\n", "a JPEG XL file"),
    (4, b"jP  \r\n\x87\n", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "a PDF file"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (0, b"FUJIFILMCCD-RAW", "a raw file of a camera"),
    (0, b"IIRO", "a raw file of a camera"),
    (0, b"IIU\x00", "a raw file of a camera"),
    (8, b"CR\x02", "a raw file of a camera"),
    (0, b"II*\x00", "a damaged TIFF file, or a raw file of a camera"),
    (0, b"MM\x00*", "a damaged TIFF file, or a raw file of a camera"),
    (0, b"\x00\x00\x01\x00", "an icon file"),
    (0, b"qoif", "a QOI file"),
    (0, b"v/1\x01", "an OpenEXR file"),
    (0, b"DDS ", "a DDS file"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (0, b"\x00\x00\x01\xba", "a video"),
    (0, b"\x00\x00\x01\xb3", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"OggS", "a video or a sound"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"BM", "a damaged BMP file"),
)
# Brands of the container that HEIC, AVIF, raw files and videos share.
_BRANDS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"avi[fs]"), "a damaged AVIF file"),
    (re.compile(rb"he[iv][cxms]|mif1|msf1"), "a HEIC file"),
    (re.compile(rb"crx "), "a raw file of a camera"),
)
_MARKUP: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"<svg[\s>]", re.IGNORECASE), "an SVG file"),
    (re.compile(rb"<!doctype html|<html|<head|<body", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"^<\?xml"), "an XML file"),
)


def kind_of_file(head: bytes) -> str | None:
    """Return the kind of a file that cannot be read as an image; None where unknown.

    Args:
        head: Its first `HEAD` bytes.
    """
    if head.startswith(_LFS):
        return "a Git LFS pointer: `git lfs pull` fetches the file"
    if head[4:8] == b"ftyp":
        brands = head[8:12] + head[16 : int.from_bytes(head[:4], "big")]
        return next((words for brand, words in _BRANDS if brand.search(brands)), "a video")
    for offset, magic, words in _MAGIC:
        if head.startswith(magic, offset):
            return words
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return next((words for markup, words in _MARKUP if markup.search(text)), None)
    return None
