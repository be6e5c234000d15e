"""The page that people search with: one HTML, one CSS and one JS file, nothing from elsewhere."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def page_routes() -> APIRouter:
    """Return the routes of the page's files."""
    router = APIRouter(include_in_schema=False)
    for name in _TYPES:
        _add(router, name)
    return router


def _add(router: APIRouter, name: str) -> None:
    content = files("tmcir.service").joinpath("static", name).read_bytes()
    # `no-cache` asks each time whether the tag still holds, so an update shows at once
    headers = {
        "ETag": f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"',
        "Cache-Control": "no-cache",
    }

    async def file(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[name])

    path = "/" if name == "index.html" else f"/static/{name}"
    router.add_api_route(path, file, methods=["GET", "HEAD"])
