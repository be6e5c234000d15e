"""`graphs.json` of a model directory: its graphs, and hashes of the files they depend on."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from tmcir.core.errors import TMCIRError
from tmcir.core.files import LFS_POINTER
from tmcir.core.json_files import Record, read_json

MANIFEST = "graphs.json"
FORMAT = "tmcir-graphs-1"
WEIGHTS, TOKENIZER, PREPROCESSOR = (
    *("model.safetensors", "tokenizer.json"),
    "preprocessor_config.json",
)
SOURCES = ("config.json", PREPROCESSOR, TOKENIZER, WEIGHTS)
"""Files of a model directory that graphs are made of and used with."""

GRAPHS = ("image", "text", "fusion")


class Manifest(Record):
    """Content of graphs.json.

    Attributes:
        format: ``FORMAT``.
        identity: Of the model, as ``storage.identity`` computes it.
        method: How queries are composed.
        embedding_size: D.
        image_size: Side of the square that the image tower reads, in pixels.
        grid: Rows and columns of the image tokens; None where they have no place.
        prefix_tokens: Special tokens before the content of a text.
        suffix_tokens: Special tokens after it.
        text_length: Maximum number of content tokens of a text.
        padding: Id of the padding token.
        files: Hash of each file, of ``SOURCES`` and of the graphs.
    """

    format: str
    identity: str
    method: str
    embedding_size: int
    image_size: int
    grid: tuple[int, int] | None
    prefix_tokens: int
    suffix_tokens: int
    text_length: int
    padding: int
    files: dict[str, str]


def graph_file(name: str) -> str:
    """Return the file of a graph, one of ``GRAPHS``."""
    return f"{name}.onnx"


def read_manifest(folder: Path) -> Manifest | None:
    """Return what a model directory says of its graphs; None where it has none.

    Raises:
        TMCIRError: The file is damaged, or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    manifest = read_json(path, Manifest)
    if manifest.format != FORMAT:
        raise TMCIRError(
            f"{path}: is of format {manifest.format!r}, not {FORMAT!r}: `tmcir export` writes it"
        )
    return manifest


def changed_file(folder: Path, manifest: Manifest) -> str | None:
    """Return the first file that is not the one that graphs were made of; None where all are."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or file_hash(path) != expected:
            return name
    return None


def file_hash(path: Path) -> str:
    """Return the BLAKE2b hash of a file, 32 hexadecimal digits.

    Raises:
        TMCIRError: It is a Git LFS pointer.
    """
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER.encode():
            raise TMCIRError(f"{path}: is a Git LFS pointer: `git lfs pull` brings the weights")
        if path.stat().st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                digest.update(content)
    return digest.hexdigest()
