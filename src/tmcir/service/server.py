"""Running the service on a port, until a signal stops it."""

from __future__ import annotations

import math
import signal

import uvicorn

from tmcir.core.errors import TMCIRError
from tmcir.gallery import Gallery
from tmcir.service.app import create_app
from tmcir.service.logs import set_up_logging
from tmcir.service.protocol import bounded_protocol
from tmcir.service.settings import ServiceSettings

#: Connections at once; beyond them the HTTP server itself answers with 503.
MAXIMUM_CONNECTIONS = 1_000


def server_config(
    gallery: Gallery, settings: ServiceSettings, host: str, port: int
) -> uvicorn.Config:
    """Return how the HTTP server runs the service."""
    return uvicorn.Config(
        create_app(gallery, settings),
        host=host,
        port=port,
        http=bounded_protocol(settings.timeout),
        ws="none",
        log_config=None,
        access_log=False,  # the app's own log says more, and no paths
        server_header=False,
        limit_concurrency=MAXIMUM_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(settings.timeout),
    )


def serve(gallery: Gallery, settings: ServiceSettings, host: str, port: int) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those under way, and return.

    Raises:
        TMCIRError: The address cannot be used.
    """
    set_up_logging()
    # Uvicorn ends by raising again the signal that stopped it, which would end this process, too.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    server = uvicorn.Server(server_config(gallery, settings, host, port))
    try:
        server.run()
    except SystemExit:  # it has logged why: the port is taken, or needs other rights
        raise TMCIRError(f"{host}:{port}: cannot listen there; is the port taken?") from None
    if not server.started:
        raise TMCIRError("the service could not start; the log above says why")
