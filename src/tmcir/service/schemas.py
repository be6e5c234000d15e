"""Requests and answers of the API, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tmcir.gallery.conditions import (
    MAXIMUM_CONDITIONS,
    MAXIMUM_ID,
    MAXIMUM_LENGTH,
    MAXIMUM_VALUES,
    Operator,
)
from tmcir.gallery.query import (
    MAXIMUM_EXAMPLES,
    MAXIMUM_TERMS,
    MAXIMUM_TEXT,
    MAXIMUM_WEIGHT,
)
from tmcir.gallery.stores.base import ColumnKind
from tmcir.gallery.turns import MAXIMUM_TURNS
from tmcir.gallery.words import MAXIMUM_WORD_COLUMNS

#: Maximum number of results of a page.
MAXIMUM_K = 100
#: Maximum offset of paging.
MAXIMUM_OFFSET = 10_000
#: Maximum number of listed values of a column.
MAXIMUM_FACET_VALUES = 100


Id = Annotated[str, Field(min_length=1, max_length=MAXIMUM_ID)]
Scalar = int | float | Annotated[str, Field(max_length=MAXIMUM_ID)]


def _exact(value: object) -> object:
    """Return whole numbers that JavaScript would round as text."""
    return str(value) if isinstance(value, int) and abs(value) > MAXIMUM_EXACT else value


#: Largest whole number that every JSON reader keeps, 2**53 - 1.
MAXIMUM_EXACT = 2**53 - 1
#: A metadata value; whole numbers beyond `MAXIMUM_EXACT` are text.
Cell = Annotated[int | float | str | None, BeforeValidator(_exact)]
_REFERENCE = "shoes/10015.jpg"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TermRequest(_Request):
    """A further text or photo of the gallery, with a weight; the query itself has weight 1."""

    text: str | None = Field(None, min_length=1, max_length=MAXIMUM_TEXT)
    item: Id | None = None
    weight: float = Field(
        1.0,
        ge=-MAXIMUM_WEIGHT,
        le=MAXIMUM_WEIGHT,
        allow_inf_nan=False,
        description="Negative: results move away from it. -0.5 serves for `without buttons`.",
    )


class TurnRequest(_Request):
    """One step of a search. Without a reference it continues the step before."""

    item: Id | None = Field(None, description="Start from this photo of the gallery.")
    upload: bool = Field(False, description="Start from the image that is sent along.")
    text: str = Field("", max_length=MAXIMUM_TEXT, description="What should be different.")
    balance: float = Field(
        0.0,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="From -1, the image only, to 1, the text only.",
    )
    more_like: list[Id] = Field([], max_length=MAXIMUM_EXAMPLES, description="Photos to move to.")
    less_like: list[Id] = Field(
        [], max_length=MAXIMUM_EXAMPLES, description="Photos to move away from, not shown again."
    )
    terms: list[TermRequest] = Field([], max_length=MAXIMUM_TERMS)


class FilterRequest(_Request):
    """A condition on a metadata column or on the id; all conditions must hold."""

    column: str = Field(max_length=MAXIMUM_LENGTH)
    operator: Operator
    value: Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=MAXIMUM_VALUES)]


class SortRequest(_Request):
    """Sort the relevant photos, at most 200, by a metadata column; empty values come last."""

    column: str = Field(max_length=MAXIMUM_LENGTH)
    descending: bool = Field(False, description="Largest values first.")


class TrailRequest(_Request):
    """The steps of a search, the oldest first; the service remembers nothing."""

    turns: list[TurnRequest] = Field(min_length=1, max_length=MAXIMUM_TURNS)


class SearchRequest(TrailRequest):
    """A search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"turns": [{"item": _REFERENCE, "text": "in navy"}], "k": 20},
                {
                    "turns": [
                        {"text": "a red shirt"},
                        {"text": "with stripes", "terms": [{"text": "buttons", "weight": -0.5}]},
                    ]
                },
                {
                    "turns": [{"item": _REFERENCE}, {"text": "in navy"}],
                    "filters": [{"column": "gender", "operator": "in", "value": ["Women"]}],
                },
            ]
        }
    )
    filters: list[FilterRequest] = Field([], max_length=MAXIMUM_CONDITIONS)
    k: int = Field(24, ge=1, le=MAXIMUM_K, description="How many results.")
    offset: int = Field(
        0, ge=0, le=MAXIMUM_OFFSET, description="0, or `next_offset` of the page before."
    )
    deduplicate: bool = Field(False, description="Merge near-duplicates into one result.")
    group: str | None = Field(
        None,
        max_length=MAXIMUM_LENGTH,
        description="Metadata column whose values are shown once each, such as the product's id.",
    )
    sort: SortRequest | None = Field(None, description="null: the nearest first.")
    words: list[Annotated[str, Field(min_length=1, max_length=MAXIMUM_LENGTH)]] = Field(
        [],
        max_length=MAXIMUM_WORD_COLUMNS,
        description="Columns whose words count in the ranking, too, such as the title; also `id`.",
    )
    min_relevance: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="Return photos of this relevance or more."
    )


_THUMBNAIL: str = Field(
    description="Address of the thumbnail, relative to that of the service. Where keys are set, it"
    " works for at least 15 minutes without one."
)


class HitAnswer(BaseModel):
    """A result."""

    rank: int = Field(description="1 for the best; the reference and the like count, too.")
    id: str
    score: float = Field(description="Cosine of query and photo.")
    relevance: float = Field(
        description="In [0, 1]: how far the photo stands out of the gallery for this query."
    )
    metadata: dict[str, Cell]
    duplicates: list[str] = Field(description="Ids merged into this result.")
    grouped: list[str] = Field(description="Ids of nearby photos of the same group.")
    thumbnail: str = _THUMBNAIL


class TermAnswer(BaseModel):
    """A further text or photo of the gallery, with a weight."""

    text: str | None
    item: str | None
    weight: float


class QueryAnswer(BaseModel):
    """The query of the turns."""

    item: str | None
    upload: bool
    text: str
    balance: float
    more_like: list[str]
    less_like: list[str]
    terms: list[TermAnswer]
    unread: str = Field(description="End of the text that is too long for the model; mostly empty.")


class SearchAnswer(BaseModel):
    """Results, the best first, without the reference and the photos to be less like."""

    hits: list[HitAnswer]
    next_offset: int | None = Field(description="For the next page; null where there is none.")
    query: QueryAnswer


class PatchAnswer(BaseModel):
    """A patch of the reference that a word merged with."""

    row: int
    column: int
    weight: float


class WordAnswer(BaseModel):
    """A word of the text."""

    text: str
    patches: list[PatchAnswer] = Field(description="The heaviest first.")
    image_share: float | None = Field(description="Share of the image in the merged token.")


class GateAnswer(BaseModel):
    """Weights of the pooled image and text embedding; they sum to 2."""

    image: float
    text: float


class GridAnswer(BaseModel):
    """Rows and columns of the reference's patches."""

    rows: int
    columns: int


class RegionAnswer(BaseModel):
    """The part of the reference under the grid, as shares of its width and height."""

    left: float
    top: float
    right: float
    bottom: float


class SimilarityAnswer(BaseModel):
    """Cosines of the query with the reference and with the text."""

    image: float
    text: float


class ExplainAnswer(BaseModel):
    """How a query was composed; null for parts that the model's method does not have."""

    gate: GateAnswer | None
    similarity: SimilarityAnswer | None
    patches_matter: bool = Field(description="Whether the patches change the query.")
    words: list[WordAnswer]
    grid: GridAnswer
    region: RegionAnswer | None
    matched_share: float | None = Field(description="Share of patches that words merged with.")
    threshold: float | None = Field(description="Minimum cosine of a patch and a word that merge.")
    unread: str = Field(description="End of the text that is too long for the model; mostly empty.")


class ItemAnswer(BaseModel):
    """A photo of the gallery."""

    id: str
    metadata: dict[str, Cell]
    thumbnail: str = _THUMBNAIL


class ItemsAnswer(BaseModel):
    """Some photos of the gallery."""

    items: list[ItemAnswer]


class ColumnAnswer(BaseModel):
    """A metadata column, which filters may name."""

    name: str
    kind: ColumnKind


class LimitsAnswer(BaseModel):
    """Limits of requests."""

    maximum_upload: int = Field(description="Bytes of a request with an image.")
    maximum_pixels: int
    maximum_text: int = MAXIMUM_TEXT
    maximum_turns: int = MAXIMUM_TURNS
    maximum_k: int = MAXIMUM_K
    maximum_offset: int = MAXIMUM_OFFSET


class RolesAnswer(BaseModel):
    """Columns with a product's title, link, price and group; null: there is none."""

    title: str | None
    link: str | None
    price: str | None
    group: str | None = Field(description="The same for all photos of one product.")


class GalleryAnswer(BaseModel):
    """The gallery as a whole."""

    title: str
    photos: int
    model: str
    columns: list[ColumnAnswer]
    roles: RolesAnswer
    words: list[str] = Field(
        description="Columns of ids, titles, descriptions and article numbers, for `words` of a"
        " search; empty where words cannot be searched."
    )
    limits: LimitsAnswer


class ValueAnswer(BaseModel):
    """A value of a column, and how many photos have it."""

    value: Cell
    count: int


class FacetAnswer(ColumnAnswer):
    """A column with its most frequent values."""

    values: list[ValueAnswer]
    complete: bool = Field(description="Whether these are all of its values.")
    distinct: int = Field(description="Number of different values.")
    filled: int = Field(description="Photos that have a value.")
    minimum: Cell
    maximum: Cell
    is_date: bool = Field(description="Whether all values are dates, YYYY-MM-DD..., as text.")


class FacetsAnswer(BaseModel):
    """Columns with their most frequent values, at most 200."""

    facets: list[FacetAnswer]


class ChangeAnswer(BaseModel):
    """What a change did."""

    photos: int = Field(description="Photos that were changed.")


class RemovedAnswer(BaseModel):
    """Photos that were removed for good."""

    ids: list[str]


class HealthAnswer(BaseModel):
    """State of the service."""

    status: str


class ProblemAnswer(BaseModel):
    """What went wrong."""

    code: str = Field(description="For programs; it stays the same.")
    message: str = Field(description="For people.")


class ErrorAnswer(BaseModel):
    """The shape of every answer that is an error."""

    error: ProblemAnswer
