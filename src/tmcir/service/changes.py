"""Routes that change the gallery, for admin keys alone: remove photos, and ask them back."""

from __future__ import annotations

from fastapi import APIRouter, Request

from tmcir.core.errors import UnknownItemError
from tmcir.service.ids import AnyPathRoute, PhotoId
from tmcir.service.routes import errors, searcher_of
from tmcir.service.schemas import ChangeAnswer, RemovedAnswer

_ERRORS = (400, 401, 403, 422, 503, 504)

changes = APIRouter(prefix="/api/v1", tags=["changes"], route_class=AnyPathRoute)


@changes.delete(
    "/items/{id:path}", summary="Remove a photo for good", responses=errors(*_ERRORS, 404)
)
async def remove(request: Request, id: PhotoId) -> ChangeAnswer:  # noqa: A002 - the API's own word
    """Remove a photo at once. Its file stays, and `tmcir index` leaves it out from now on."""
    searcher = searcher_of(request)
    removed = await searcher.change(lambda: searcher.gallery.remove([id]))
    if not removed:
        raise UnknownItemError("there is no such photo")
    return ChangeAnswer(photos=removed)


@changes.get("/removed", summary="The photos that were removed", responses=errors(*_ERRORS))
async def list_removed(request: Request) -> RemovedAnswer:
    """Return the ids of the photos that were removed for good."""
    searcher = searcher_of(request)
    return RemovedAnswer(ids=sorted(await searcher.read(searcher.gallery.removed)))


@changes.delete(
    "/removed/{id:path}", summary="Ask a removed photo back", responses=errors(*_ERRORS, 404)
)
async def restore(request: Request, id: PhotoId) -> ChangeAnswer:  # noqa: A002 - the API's own word
    """Let the next `tmcir index` take the photo in again."""
    searcher = searcher_of(request)
    restored = await searcher.change(lambda: searcher.gallery.restore([id]))
    if not restored:
        raise UnknownItemError("no such photo was removed")
    return ChangeAnswer(photos=restored)
