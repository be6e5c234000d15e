"""The search page: HTML, CSS and ES modules, served as they are, nothing from elsewhere."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


def page_routes() -> APIRouter:
    """Return a route for each of the page's files."""
    router = APIRouter(include_in_schema=False)
    for file in files("tmcir.service").joinpath("static").iterdir():
        if content_type := _TYPES.get(PurePath(file.name).suffix):
            path = "/" if file.name == _INDEX else f"/static/{file.name}"
            _add_file(router, path, file.read_bytes(), content_type)
    return router


def _add_file(router: APIRouter, path: str, content: bytes, content_type: str) -> None:
    # `no-cache`: the browser asks each time whether its copy is current, so an update shows at once
    headers = {
        "ETag": f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"',
        "Cache-Control": "no-cache",
    }

    async def file(if_none_match: Annotated[str | None, Header()] = None) -> Response:
        if if_none_match is not None and headers["ETag"] in if_none_match:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=content_type)

    router.add_api_route(path, file, methods=["GET", "HEAD"])
