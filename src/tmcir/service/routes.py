"""The routes of the API: thin, typed, each calls one function."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from tmcir.core.errors import TMCIRError
from tmcir.gallery import Hit, Item
from tmcir.gallery import Query as GalleryQuery
from tmcir.gallery.results import hit_fields
from tmcir.gallery.summaries import ColumnSummary
from tmcir.models.explained import Explanation
from tmcir.models.explanation import MINIMUM_EFFECT
from tmcir.service.bodies import JSONRoute, form_schema, opened_form
from tmcir.service.ids import AnyPathRoute, PhotoId
from tmcir.service.metrics import Steps
from tmcir.service.schemas import (
    MAXIMUM_FACET_VALUES,
    ColumnAnswer,
    ErrorAnswer,
    ExplainAnswer,
    FacetAnswer,
    FacetsAnswer,
    GalleryAnswer,
    GateAnswer,
    GridAnswer,
    HealthAnswer,
    HitAnswer,
    ItemAnswer,
    ItemsAnswer,
    LimitsAnswer,
    PatchAnswer,
    QueryAnswer,
    RegionAnswer,
    RolesAnswer,
    SearchAnswer,
    SearchRequest,
    SimilarityAnswer,
    TermAnswer,
    TrailRequest,
    ValueAnswer,
    WordAnswer,
)
from tmcir.service.searcher import MAXIMUM_SAMPLE, Searcher
from tmcir.service.signing import Signer

#: How long a client may show a thumbnail without asking again.
THUMBNAIL_SECONDS = 300
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format

_REASONS = {
    400: "The request cannot be read.",
    401: "An API key is needed.",
    403: "The key does not permit it.",
    404: "There is no such photo.",
    408: "The request took too long to arrive.",
    413: "The request is too large.",
    415: "The request is of another type, or compressed.",
    422: "Something in the request is not valid; the message says what.",
    503: "The queue is full; Retry-After says when to try again.",
    504: "No answer in time.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these statuses."""
    return {status: {"model": ErrorAnswer, "description": _REASONS[status]} for status in statuses}


_ANY = (400, 401, 422, 503, 504)
_POSTED = (400, 401, 404, 408, 413, 415, 422, 503, 504)


api = APIRouter(prefix="/api/v1", route_class=AnyPathRoute)
searches = APIRouter(prefix="/api/v1", route_class=JSONRoute)
operations = APIRouter()


def searcher_of(request: Request) -> Searcher:
    """Return what answers the requests of this app."""
    found: Searcher = request.app.state.searcher
    return found


@searches.post(
    "/search",
    summary="Search by text or from a photo of the gallery",
    tags=["search"],
    responses=errors(*_POSTED),
)
async def search(request: Request, response: Response, body: SearchRequest) -> SearchAnswer:
    """Return the photos nearest to the query of the turns."""
    return await _search(request, response, body, None)


@api.post(
    "/search/upload",
    summary="Search from an image that is sent along",
    tags=["search"],
    responses=errors(*_POSTED),
    openapi_extra=form_schema(SearchRequest),
)
async def search_upload(request: Request, response: Response) -> SearchAnswer:
    """Return the photos nearest to the query of the turns; turns of `upload` use the image."""
    async with opened_form(request, SearchRequest) as (image, body):
        return await _search(request, response, body, image)


@searches.post(
    "/explain",
    summary="Explain a query from a photo of the gallery",
    tags=["search"],
    responses=errors(*_POSTED),
)
async def explain(request: Request, response: Response, body: TrailRequest) -> ExplainAnswer:
    """Return gate, words and the patches that they merged with."""
    return await _explain(request, response, body, None)


@api.post(
    "/explain/upload",
    summary="Explain a query from an image that is sent along",
    tags=["search"],
    responses=errors(*_POSTED),
    openapi_extra=form_schema(TrailRequest),
)
async def explain_upload(request: Request, response: Response) -> ExplainAnswer:
    """Return gate, words and the patches that they merged with."""
    async with opened_form(request, TrailRequest) as (image, body):
        return await _explain(request, response, body, image)


@api.get("/gallery", summary="Size, columns and limits", tags=["gallery"], responses=errors(*_ANY))
async def gallery(request: Request) -> GalleryAnswer:
    """Return size, columns and limits of the gallery."""
    searcher = searcher_of(request)
    photos = await searcher.count()
    columns = await searcher.read(searcher.gallery.columns)
    return GalleryAnswer(
        title=searcher.settings.title,
        photos=photos,
        model=searcher.gallery.model_name.rpartition("/")[2],  # not the folder it was loaded from
        columns=[ColumnAnswer(name=name, kind=kind) for name, kind in columns.items()],
        roles=RolesAnswer(**asdict(await searcher.roles())),
        words=await searcher.word_columns(),
        limits=LimitsAnswer(
            maximum_upload=searcher.settings.maximum_upload,
            maximum_pixels=searcher.settings.maximum_pixels,
        ),
    )


@api.get(
    "/facets",
    summary="Columns with their most frequent values",
    tags=["gallery"],
    responses=errors(*_ANY),
)
async def facets(
    request: Request, limit: Annotated[int, Query(ge=1, le=MAXIMUM_FACET_VALUES)] = 20
) -> FacetsAnswer:
    """Return the values of the first 200 columns, for filters; up to a minute old."""
    summaries = await searcher_of(request).summaries()
    return FacetsAnswer(facets=[_facet(summary, limit) for summary in summaries])


@api.get("/items", summary="Some photos to start from", tags=["gallery"], responses=errors(*_ANY))
async def items(
    request: Request, limit: Annotated[int, Query(ge=1, le=MAXIMUM_SAMPLE)] = 12
) -> ItemsAnswer:
    """Return photos that differ from one another; up to a minute old."""
    searcher = searcher_of(request)
    found = await searcher.sample(limit)
    return ItemsAnswer(items=[_item(item, searcher.signer) for item in found])


@api.get(
    "/items/{id:path}",
    summary="A photo's metadata",
    tags=["gallery"],
    responses=errors(*_ANY, 404),
)
async def item(request: Request, id: PhotoId) -> ItemAnswer:  # noqa: A002 - the API's own word
    """Return a photo of the gallery."""
    searcher = searcher_of(request)
    return _item(await searcher.read(lambda: searcher.gallery.item(id)), searcher.signer)


@api.get(
    "/thumbnails/{id:path}",
    summary="A photo's thumbnail",
    tags=["gallery"],
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "A JPEG."},
        304: {"description": "The one that the client has is still good."},
        **errors(*_ANY, 404),
    },
)
async def thumbnail(
    request: Request,
    id: PhotoId,  # noqa: A002 - the API's own word
    if_none_match: Annotated[str | None, Header(max_length=1_024)] = None,
) -> Response:
    """Return a photo's thumbnail from the store; no file is looked for."""
    searcher = searcher_of(request)
    content = await searcher.read(lambda: searcher.gallery.thumbnail(id))
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    scope = "private" if searcher.settings.api_keys else "public"
    headers = {"ETag": tag, "Cache-Control": f"{scope}, max-age={THUMBNAIL_SECONDS}"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag in if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/jpeg")


@operations.get("/healthz", summary="Whether the process runs", tags=["operations"])
async def healthz() -> HealthAnswer:
    """Liveness: answers while the process runs."""
    return HealthAnswer(status="ok")


@operations.get(
    "/readyz",
    summary="Whether searches are answered",
    tags=["operations"],
    responses=errors(503, 504),
)
async def readyz(request: Request) -> HealthAnswer:
    """Readiness: 503 unless searches would be answered."""
    await searcher_of(request).check_ready()
    return HealthAnswer(status="ready")


@operations.get(
    "/metrics",
    summary="Figures for Prometheus",
    tags=["operations"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **errors(401, 504)},
)
async def metrics(request: Request) -> Response:
    """Return counts and times."""
    searcher = searcher_of(request)
    with suppress(TMCIRError):  # the other figures matter most where the gallery cannot be read
        await searcher.count()
    return Response(searcher.metrics.text(), headers={"Content-Type": METRICS_TYPE})


async def _search(
    request: Request, response: Response, body: SearchRequest, image: UploadFile | None
) -> SearchAnswer:
    searcher = searcher_of(request)
    steps = Steps(searcher.metrics)
    stream = None if image is None else image.file
    query, hits, next_offset = await searcher.search(body, stream, steps)
    response.headers["Server-Timing"] = steps.header
    return SearchAnswer(
        hits=[_hit(hit, searcher.signer) for hit in hits],
        next_offset=next_offset,
        query=_query(query, searcher.gallery.unread(query)),
    )


async def _explain(
    request: Request, response: Response, body: TrailRequest, image: UploadFile | None
) -> ExplainAnswer:
    searcher = searcher_of(request)
    steps = Steps(searcher.metrics)
    stream = None if image is None else image.file
    query, explanation = await searcher.explain(body, stream, steps)
    response.headers["Server-Timing"] = steps.header
    return _explanation(explanation, searcher.gallery.unread(query))


def _hit(hit: Hit, signer: Signer) -> HitAnswer:
    return HitAnswer(**hit_fields(hit), thumbnail=signer.address(hit.id))


def _item(item: Item, signer: Signer) -> ItemAnswer:
    return ItemAnswer(id=item.id, metadata=item.metadata, thumbnail=signer.address(item.id))


def _facet(summary: ColumnSummary, limit: int) -> FacetAnswer:
    values = summary.values[:limit]
    return FacetAnswer(
        name=summary.name,
        kind=summary.kind,
        values=[ValueAnswer(value=value, count=count) for value, count in values],
        complete=len(values) == summary.distinct,
        distinct=summary.distinct,
        filled=summary.filled,
        minimum=summary.minimum,
        maximum=summary.maximum,
        is_date=summary.is_date,
    )


def _query(query: GalleryQuery, unread: str) -> QueryAnswer:
    return QueryAnswer(
        item=query.item,
        upload=query.image is not None,
        text=query.text,
        balance=query.balance,
        more_like=list(query.more_like),
        less_like=list(query.less_like),
        terms=[
            TermAnswer(text=term.text, item=term.item, weight=term.weight) for term in query.terms
        ],
        unread=unread,
    )


def _explanation(explanation: Explanation, unread: str) -> ExplainAnswer:
    merged = explanation.merged or [[] for _ in explanation.words]
    shares: Sequence[float | None] = explanation.image_share or [None for _ in explanation.words]
    gate, similarity = explanation.gate, explanation.similarity
    effect = explanation.token_effect
    return ExplainAnswer(
        gate=None if gate is None else GateAnswer(image=gate[0], text=gate[1]),
        similarity=None
        if similarity is None
        else SimilarityAnswer(image=similarity[0], text=similarity[1]),
        patches_matter=effect is None or effect >= MINIMUM_EFFECT,
        words=[
            WordAnswer(
                text=word,
                patches=[
                    PatchAnswer(row=row, column=column, weight=weight)
                    for row, column, weight in patches
                ],
                image_share=share,
            )
            for word, patches, share in zip(explanation.words, merged, shares, strict=True)
        ],
        grid=GridAnswer(rows=explanation.grid[0], columns=explanation.grid[1]),
        region=None
        if explanation.region is None
        else RegionAnswer(
            left=explanation.region[0],
            top=explanation.region[1],
            right=explanation.region[2],
            bottom=explanation.region[3],
        ),
        matched_share=explanation.matched_share,
        threshold=explanation.threshold,
        unread=unread,
    )
