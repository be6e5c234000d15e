"""A search of several turns: which query the trail so far amounts to.

A trail is a list of turns, the oldest first, and holds all there is to know: nothing is kept
between calls, and undoing a turn is leaving out the last one.

A turn that names an image or a photo of the gallery *starts anew*: its reference replaces the old
one, and earlier texts and examples are forgotten, because what the person picked already shows
them. Any other turn *carries on*:

- The reference stays that of the last start. The results are not the reference: carrying on asks
  for other answers to the same question, starting from a result asks the next question.
- Its text is put before the earlier ones ("shorter", after "in navy": "shorter, in navy"). A text
  tower reads a limited number of tokens and drops the end, so what is lost in a long trail is the
  oldest; and where two texts contradict each other, the later one stands first. A model is not
  guaranteed to let the first one win: who changes their mind undoes the turn, or starts from a
  result. A text that is said again moves to the front and is not repeated. At most `MAXIMUM_TEXTS`
  texts are joined, because the wishes of a longer list are hardly told apart in one vector.
- Its examples are added to the earlier ones; a photo named on both sides counts where it was
  named last. The latest `MAXIMUM_EXAMPLES` of each side are kept.
- Its balance is the query's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tmcir.core.errors import TMCIRError
from tmcir.gallery.query import MAXIMUM_EXAMPLES, MAXIMUM_TEXT, ImageSource, Query

#: Longest trail.
MAXIMUM_TURNS = 50
#: Most texts that carrying on joins, the latest ones.
MAXIMUM_TEXTS = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of a search; without ``image`` and ``item`` it carries on from the last query.

    Attributes:
        image: Reference image to start from, a file or a PIL image.
        item: Id of a photo of the gallery to start from.
        text: What should be different.
        balance: As for `Query`.
        more_like: Ids of photos of the gallery; results move towards them.
        less_like: Ids of photos of the gallery; results move away from them.
    """

    image: ImageSource | None = None
    item: str | None = None
    text: str = ""
    balance: float = 0.0
    more_like: tuple[str, ...] = ()
    less_like: tuple[str, ...] = ()

    @property
    def starts(self) -> bool:
        """Whether this turn has a reference of its own."""
        return self.image is not None or self.item is not None


def to_query(turns: Sequence[Turn]) -> Query:
    """Return the query that a trail amounts to.

    Args:
        turns: The oldest first. The first may have no reference: a search by text alone.

    Raises:
        TMCIRError: The trail is empty or too long, or a turn of it is no good query.
    """
    if not turns:
        raise TMCIRError("an empty trail: give at least one turn")
    if len(turns) > MAXIMUM_TURNS:
        raise TMCIRError(
            f"a trail of {len(turns)} turns; at most {MAXIMUM_TURNS} are read: start from a result"
        )
    begin = max((index for index, turn in enumerate(turns) if turn.starts), default=0)
    current = turns[begin:]
    for turn in current:
        _check(turn)
    more, less = _examples(current)
    query = Query(
        image=current[0].image,
        item=current[0].item,
        text=_joined([turn.text for turn in current]),
        balance=current[-1].balance,
        more_like=more,
        less_like=less,
    )
    query.check()
    return query


def _check(turn: Turn) -> None:
    # with an example, so that a turn that says nothing new by itself passes
    Query(turn.image, turn.item, turn.text, turn.balance, turn.more_like or ("",)).check()
    Query(text="-", less_like=turn.less_like).check()


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


def _examples(turns: Sequence[Turn]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    wanted: dict[str, bool] = {}  # id: whether more like it, in the order of the last mention
    for turn in turns:
        for ids, more in ((turn.more_like, True), (turn.less_like, False)):
            for name in ids:
                wanted.pop(name, None)
                wanted[name] = more
    more_like = tuple(name for name, more in wanted.items() if more)[-MAXIMUM_EXAMPLES:]
    less_like = tuple(name for name, more in wanted.items() if not more)[-MAXIMUM_EXAMPLES:]
    return more_like, less_like
