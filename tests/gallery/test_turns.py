from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmcir.core.errors import TMCIRError
from tmcir.gallery import Query, Term, to_query
from tmcir.gallery.query import MAXIMUM_EXAMPLES, MAXIMUM_TEXT
from tmcir.gallery.turns import MAXIMUM_TEXTS, MAXIMUM_TURNS


def test_carrying_on_keeps_the_reference_and_puts_the_later_text_first() -> None:
    trail = [Query(item="a.jpg", text="In navy."), Query(text="shorter", balance=0.5)]
    assert to_query(trail) == Query(item="a.jpg", text="shorter, In navy.", balance=0.5)
    assert to_query(trail[:1]) == Query(item="a.jpg", text="In navy.")  # undone


def test_a_chosen_result_starts_again() -> None:
    trail = [
        Query(text="shirts", more_like=("x",)),
        Query(text="striped"),
        Query(item="b.jpg", text="in red", less_like=("y",)),
        Query(text="longer"),
    ]
    assert to_query(trail[:2]) == Query(text="striped, shirts", more_like=("x",))
    assert to_query(trail) == Query(item="b.jpg", text="longer, in red", less_like=("y",))


def test_a_text_said_again_moves_to_the_front() -> None:
    trail = [Query(text="in red"), Query(text="in navy"), Query(text=" In  Red. ")]
    assert to_query(trail).text == "In  Red, in navy"


def test_the_oldest_texts_fall_away() -> None:
    many = [Query(text=f"wish {number}") for number in range(7)]
    assert to_query(many).text == "wish 6, wish 5, wish 4, wish 3"
    long = [Query(text=f"{number}" * 900) for number in range(4)]
    assert to_query(long).text == "3" * 900 + ", " + "2" * 900


def test_the_last_word_on_an_example_counts() -> None:
    trail = [
        Query(item="a", more_like=("b", "c")),
        Query(less_like=("b",), balance=-0.5),
        Query(more_like=("d", "c")),
    ]
    assert to_query(trail) == Query(item="a", more_like=("d", "c"), less_like=("b",))
    ids = tuple(f"{number}" for number in range(MAXIMUM_EXAMPLES))
    more = to_query([Query(item="a", more_like=ids), Query(more_like=("new",))]).more_like
    assert len(more) == MAXIMUM_EXAMPLES and more[-1] == "new" and more[0] == "1"


@pytest.mark.parametrize(
    ("trail", "reason"),
    [
        ([], "an empty trail"),
        ([Query()], "an empty query"),
        ([Query(less_like=("a",))], "needs something to start from"),
        ([Query(text="a")] * (MAXIMUM_TURNS + 1), "at most 50"),
        ([Query(image="a.jpg", item="b")], "not both"),
        ([Query(text="x" * (MAXIMUM_TEXT + 1))], "2,001 characters"),
        ([Query(text="a", balance=2)], "balance must lie"),
        ([Query(text="a", less_like=("x",) * 33)], "at most 32"),
    ],
)
def test_bad_trails(trail: list[Query], reason: str) -> None:
    with pytest.raises(TMCIRError, match=reason):
        to_query(trail)


turns = st.builds(
    Query,
    item=st.none() | st.sampled_from(["a", "b"]),
    text=st.text("ab., ", max_size=4),
    balance=st.floats(-1, 1),
    more_like=st.lists(st.sampled_from("abcd"), max_size=3).map(tuple),
    less_like=st.lists(st.sampled_from("abcd"), max_size=3).map(tuple),
)


@given(st.lists(turns, min_size=1, max_size=8))
def test_what_came_before_the_last_start_changes_nothing(trail: list[Query]) -> None:
    start = Query(item="z", text="start")
    query = to_query([*trail, start, Query(text="then")])
    assert query == to_query([start, Query(text="then")])
    whole = to_query([start, *(Query(text=turn.text) for turn in trail)])
    assert len(whole.text.split(", start")[0]) <= MAXIMUM_TEXTS * 6
    assert not set(query.more_like) & set(query.less_like)


def test_terms_add_up_and_the_last_weight_counts() -> None:
    trail = [
        Query(text="a", terms=(Term(1, "old"),)),
        Query(item="a", terms=(Term(-0.5, "belt"), Term(1, item="b"))),
        Query(text="longer", terms=(Term(-1, "belt"),)),
    ]
    assert to_query(trail).terms == (Term(1, item="b"), Term(-1, "belt"))
