"""Hashes of texts that are the same in every process, unlike Python's ``hash``."""

from __future__ import annotations

import hashlib


def stable_number(text: str) -> int:
    """Return a number in [0, 2**63) for a text, to use as a seed or to choose a shard."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stable_name(text: str) -> str:
    """Return 24 hexadecimal digits for any text, to use as a file name."""
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
