"""A search of several turns: one query out of all turns so far.

A trail is a list of turns, the oldest first; every turn is a `Query`. The trail is the whole state
of a search: nothing is kept between calls, and to undo a turn is to remove the last one.

A turn that names an image or a photo of the gallery *starts* a new query: its reference replaces
the old one, and earlier texts and examples are dropped, because the photo that the person picked
already shows them. Any other turn *continues* the query:

- The reference stays that of the last start. The results are not the reference: a turn that
  continues asks for other answers to the same question; a turn that starts from a result asks the
  next question.
- Its text is put before the earlier ones ("shorter", after "in navy": "shorter, in navy"). A text
  tower reads a limited number of tokens and drops the end, so a long trail loses its oldest text
  first; and where two texts contradict each other, the later one stands first. No model is
  guaranteed to follow the first of two contradicting texts: undo the turn, or start from a result.
  A repeated text moves to the front and is not repeated. At most `MAXIMUM_TEXTS` texts are joined:
  one vector hardly distinguishes more.
- Its examples are added to the earlier ones; a photo named on both sides counts where it was
  named last. The latest `MAXIMUM_EXAMPLES` of each side are kept.
- Its terms are added to the earlier ones; a term that is named again counts with its last weight.
- Its balance is the query's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tmcir.core.errors import TMCIRError
from tmcir.gallery.query import MAXIMUM_EXAMPLES, MAXIMUM_TERMS, MAXIMUM_TEXT, Query, Term

#: Longest trail.
MAXIMUM_TURNS = 50
#: Maximum number of texts that are joined, the latest ones.
MAXIMUM_TEXTS = 4


def to_query(turns: Sequence[Query]) -> Query:
    """Return the query that a trail amounts to.

    Args:
        turns: The oldest first. The first may have no reference: a search by text alone.

    Raises:
        TMCIRError: The trail is empty or too long, or one of its turns is not valid.
    """
    if not turns:
        raise TMCIRError("an empty trail: give at least one turn")
    if len(turns) > MAXIMUM_TURNS:
        raise TMCIRError(
            f"a trail of {len(turns)} turns; at most {MAXIMUM_TURNS} are read: start from a result"
        )
    begin = max((index for index, turn in enumerate(turns) if turn.has_reference), default=0)
    current = turns[begin:]
    for turn in current:
        turn.check_turn()
    more, less = _examples(current)
    query = Query(
        image=current[0].image,
        item=current[0].item,
        text=_joined([turn.text for turn in current]),
        balance=current[-1].balance,
        more_like=more,
        less_like=less,
        terms=_terms(current),
    )
    query.check()
    return query


def _joined(texts: Sequence[str]) -> str:
    latest: dict[str, str] = {}
    for text in reversed(texts):
        if plain := text.strip().rstrip(".,; "):
            latest.setdefault(" ".join(plain.lower().split()), text.strip())
    chosen = list(latest.values())[:MAXIMUM_TEXTS]
    while True:
        *later, oldest = chosen or [""]
        joined = ", ".join([*(text.rstrip(".,; ") for text in later), oldest])
        if len(joined) <= MAXIMUM_TEXT:
            return joined
        chosen.pop()


def _terms(turns: Sequence[Query]) -> tuple[Term, ...]:
    latest: dict[object, Term] = {}
    for turn in turns:
        for term in turn.terms:
            key = (term.text, term.item, id(term.image))
            latest.pop(key, None)
            latest[key] = term
    return tuple(latest.values())[-MAXIMUM_TERMS:]


def _examples(turns: Sequence[Query]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    is_more: dict[str, bool] = {}  # by id: whether more like it, in the order of the last mention
    for turn in turns:
        for ids, more in ((turn.more_like, True), (turn.less_like, False)):
            for name in ids:
                is_more.pop(name, None)
                is_more[name] = more
    more_like = tuple(name for name, more in is_more.items() if more)[-MAXIMUM_EXAMPLES:]
    less_like = tuple(name for name, more in is_more.items() if not more)[-MAXIMUM_EXAMPLES:]
    return more_like, less_like
