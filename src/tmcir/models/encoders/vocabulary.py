"""Pruning the vocabulary of a pretrained WordPiece tokenizer to what a domain needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tmcir.core.errors import TMCIRError

_SPECIAL = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def prune_vocabulary(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], size: int
) -> tuple[PreTrainedTokenizerBase, Tensor]:
    """Keep special tokens, single characters, the tokens of ``texts``, then those of lowest id.

    Texts whose tokens are all kept are tokenised as before. Other words fall into smaller pieces:
    single characters are kept, so that no word becomes unknown that was not. In BERT's
    vocabularies a lower id is a more frequent token.

    Args:
        tokenizer: A fast WordPiece tokenizer, such as BERT's.
        texts: The texts of the domain.
        size: Number of tokens to keep; more where the first three groups are larger.

    Returns:
        The tokenizer, and the ids of the kept tokens in it before, long [kept], in their new order.

    Raises:
        TMCIRError: It is no fast WordPiece tokenizer.
    """
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    state: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    if state.get("model", {}).get("type") != "WordPiece":
        raise TMCIRError("vocabulary_size: only a WordPiece vocabulary, such as BERT's, is pruned")
    ids: dict[str, int] = state["model"]["vocab"]
    needed = {token["content"] for token in state["added_tokens"]} | _characters(ids)
    for encoding in _plain(state).encode_batch(list(dict.fromkeys(texts))):
        needed.update(encoding.tokens)
    by_id = sorted(ids, key=lambda token: ids[token])
    rest = [token for token in by_id if token not in needed and not token.startswith("[unused")]
    kept_names = needed | set(rest[: max(0, size - len(needed))])
    kept = [token for token in by_id if token in kept_names]
    vocabulary = {token: number for number, token in enumerate(kept)}
    state["model"]["vocab"] = vocabulary
    for token in state["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    for token in (state["post_processor"] or {}).get("special_tokens", {}).values():
        token["ids"] = [vocabulary[name] for name in token["tokens"]]
    state["truncation"] = state["padding"] = None
    special = {name: getattr(tokenizer, name, None) for name in _SPECIAL}
    pruned = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        **{name: token for name, token in special.items() if token is not None},
    )
    return pruned, torch.tensor([ids[token] for token in kept])


def _characters(ids: dict[str, int]) -> set[str]:
    return {token for token in ids if len(token.removeprefix("##")) == 1}


def _plain(state: dict[str, Any]) -> Tokenizer:
    """Return the tokenizer without truncation and padding."""
    return Tokenizer.from_str(json.dumps({**state, "truncation": None, "padding": None}))
