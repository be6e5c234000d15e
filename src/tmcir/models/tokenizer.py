"""The byte-pair tokenizer of a CLIP that is trained from scratch."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int = 4096, text_length: int = 32
) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer in CLIP's manner: lower case, start and end token.

    Every byte is in the alphabet, so that no text in any language is out of vocabulary. The
    result depends on the texts and their order alone.

    Args:
        texts: The training texts.
        vocabulary_size: Maximum number of tokens, with the 256 bytes and the three special ones.
        text_length: Longest sequence, start and end token included; longer texts are cut.

    Returns:
        A transformers tokenizer that ``save_pretrained`` writes without pickle.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # A leading space for every word, so that a word is the same token wherever it stands.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), ByteLevel(add_prefix_space=True)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        # END must not get id 2: transformers takes that for a legacy CLIP and pools wrongly.
        special_tokens=[PAD, END, START],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (START, END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        model_max_length=text_length,
    )
