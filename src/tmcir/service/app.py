"""The service as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tmcir import __version__
from tmcir.gallery import Gallery
from tmcir.service.changes import changes
from tmcir.service.errors import add_error_handlers
from tmcir.service.logs import log
from tmcir.service.middleware import Guard, Head, Limits, Observe, Share
from tmcir.service.page import page_routes
from tmcir.service.routes import api, operations, searches
from tmcir.service.searcher import Searcher
from tmcir.service.settings import ServiceSettings

_DESCRIPTION = """
Search a gallery with an image, a text or both, in one turn or several.

The service keeps no state: each request sends all turns of a search. Every error has the shape
`{"error": {"code": ..., "message": ...}}`. Where keys are set, send one as
`Authorization: Bearer KEY` or `X-API-Key: KEY`.
"""


def create_app(gallery: Gallery, settings: ServiceSettings | None = None) -> FastAPI:
    """Return the service of an open gallery as an ASGI app.

    The model of the gallery is used by one thread of the app, which ends with the app's lifespan.

    Args:
        gallery: The gallery, with its model.
        settings: Limits and permissions; None takes the defaults, without keys.
    """
    settings = settings or ServiceSettings()
    searcher = Searcher(gallery, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await searcher.start()
        log("ready")
        yield
        log("closing")
        await searcher.close()

    routers = (searches, api, changes, operations, page_routes())
    app = FastAPI(
        # as they are: including a router would rebuild each route, and not by its own class
        routes=[route for router in routers for route in router.routes],
        title="tmcir",
        version=__version__,
        description=_DESCRIPTION.strip(),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # both fetch their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name this host, not the proxy in front of it
        lifespan=lifespan,
        middleware=[
            Middleware(Observe, metrics=searcher.metrics),
            Middleware(Head),
            *_cors(settings),  # before the guard: browsers ask for permission without a key
            Middleware(Guard, settings=settings, signer=searcher.signer),
            Middleware(Limits, settings=settings, metrics=searcher.metrics),
        ],
    )
    app.state.searcher = searcher
    add_error_handlers(app)
    return app


def _cors(settings: ServiceSettings) -> list[Middleware]:
    if not settings.cors_origins:
        return []
    return [
        Middleware(Share),
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", *(["DELETE"] if settings.admin_keys else [])],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
            max_age=600,
        ),
    ]
