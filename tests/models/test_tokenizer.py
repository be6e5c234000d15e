from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tmcir.models.tokenizer import END, PAD, START, train_tokenizer

TEXTS = ["a red dress", "navy blue jeans", "a striped shirt, in red", "red and blue"] * 3
TEXT_LENGTH = 12
LETTERS = st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x2FF)
ANY_TEXT = st.text(st.one_of(LETTERS, st.sampled_from(" 红色的赤いドレス👗🏽платье\u0301")))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(TEXTS, vocabulary_size=300, text_length=TEXT_LENGTH)


def content(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
    return ids[1:-1]


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).lower().split())


def test_every_byte_is_in_the_vocabulary(tokenizer: PreTrainedTokenizerBase) -> None:
    vocabulary = tokenizer.get_vocab()
    assert len(ByteLevel.alphabet()) == 256
    assert set(ByteLevel.alphabet()) <= set(vocabulary)
    assert tokenizer.unk_token_id is None


def test_special_tokens_are_the_first_and_start_is_not_end(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    assert [tokenizer.convert_tokens_to_ids(token) for token in (PAD, END, START)] == [0, 1, 2]
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token) == (PAD, END, START)


@pytest.mark.parametrize("text", ["红色的裙子", "👗🏽", "платье", "Ünïcode №5", "\x00\x7f"])
def test_any_language_survives_the_round_trip(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    ids = content(tokenizer, text)
    assert ids and min(ids) > 2  # no special token among them
    assert squeezed(tokenizer.decode(ids)) == squeezed(text)


@settings(deadline=None)
@given(ANY_TEXT)
def test_no_letter_is_lost_and_none_becomes_a_special_token(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    ids = content(tokenizer, text)
    assert all(number > 2 for number in ids)
    assert squeezed(tokenizer.decode(ids)) == squeezed(text)


@pytest.mark.parametrize("text", ["", " ", "\n\t  "])
def test_a_blank_text_is_start_and_end_alone(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer(text)["input_ids"] == [tokenizer.bos_token_id, tokenizer.eos_token_id]


@settings(deadline=None)
@given(st.text(st.sampled_from("abcdrREDsÄÖäöПп ,.'-1")))
def test_case_and_spacing_do_not_matter(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = content(tokenizer, text)
    assert content(tokenizer, text.upper()) == ids
    assert content(tokenizer, f"\n {text.replace(' ', '  ')}\t") == ids


def test_composed_and_combining_letters_are_the_same(tokenizer: PreTrainedTokenizerBase) -> None:
    # e with acute as one character and as two.
    assert content(tokenizer, "caf\u00e9") == content(tokenizer, "cafe\u0301")
    assert content(tokenizer, "caf\u00e9") != content(tokenizer, "cafe")


def test_a_word_is_the_same_token_wherever_it_stands(tokenizer: PreTrainedTokenizerBase) -> None:
    (red,) = content(tokenizer, "red")
    assert content(tokenizer, "blue red")[-1] == red
    assert content(tokenizer, "jeans,red")[-1] == red
    assert content(tokenizer, "red, blue")[0] == red


@pytest.mark.parametrize("count", [TEXT_LENGTH - 3, TEXT_LENGTH - 2, TEXT_LENGTH - 1, 500])
def test_truncation_keeps_the_end_token(tokenizer: PreTrainedTokenizerBase, count: int) -> None:
    (red,) = content(tokenizer, "red")
    ids = tokenizer("red " * count, truncation=True)["input_ids"]
    kept = min(count, TEXT_LENGTH - 2)
    assert ids == [tokenizer.bos_token_id, *[red] * kept, tokenizer.eos_token_id]


def test_padding_is_on_the_right(tokenizer: PreTrainedTokenizerBase) -> None:
    short, long = tokenizer(["red", "red and blue"], padding=True)["input_ids"]
    assert len(short) == len(long)
    assert short[2:] == [tokenizer.eos_token_id] + [tokenizer.pad_token_id] * (len(long) - 3)


@pytest.mark.parametrize("size", [260, 270, 4096])
def test_the_vocabulary_is_no_larger_than_asked(size: int) -> None:
    tokenizer = train_tokenizer(TEXTS, vocabulary_size=size)
    # 256 bytes and 3 special tokens are always there; frequent words come on top.
    assert 259 < len(tokenizer) <= size
    assert max(tokenizer.get_vocab().values()) == len(tokenizer) - 1


def test_training_on_the_same_texts_gives_the_same_tokenizer() -> None:
    first, again = (train_tokenizer(iter(TEXTS), vocabulary_size=300) for _ in range(2))
    assert again.backend_tokenizer.to_str() == first.backend_tokenizer.to_str()
    other = train_tokenizer(["green caps"] * 9, vocabulary_size=300)
    assert other.get_vocab() != first.get_vocab()


def test_without_texts_every_byte_is_a_token() -> None:
    tokenizer = train_tokenizer([], vocabulary_size=300)
    assert len(tokenizer) == 259
    assert len(content(tokenizer, "red 赤")) == 1 + 3 + 1 + 3  # a space before each word


def test_a_saved_tokenizer_gives_the_same_ids(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".txt"}
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, "", "RED  Dress,blue", "红色的裙子", "👗", "red " * 50]:
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
        cut = loaded(text, truncation=True)["input_ids"]
        assert cut == tokenizer(text, truncation=True)["input_ids"]
    assert loaded.model_max_length == TEXT_LENGTH
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == (START, END, PAD)
    assert loaded.decode(loaded("red dress")["input_ids"], skip_special_tokens=True) == " red dress"
