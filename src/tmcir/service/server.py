"""Running the service on a port, until it is told to stop."""

from __future__ import annotations

import math
import signal

import uvicorn

from tmcir.core.errors import TMCIRError
from tmcir.gallery import Gallery
from tmcir.service.app import create_app
from tmcir.service.logs import set_up_logging
from tmcir.service.settings import ServiceSettings

#: Connections at once; beyond them the HTTP server itself turns clients away.
MAXIMUM_CONNECTIONS = 1_000


def serve(gallery: Gallery, settings: ServiceSettings, host: str, port: int) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those under way, and return.

    Raises:
        TMCIRError: The address cannot be used.
    """
    set_up_logging()
    config = uvicorn.Config(
        create_app(gallery, settings),
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # the app's own log says more, and no paths
        server_header=False,
        limit_concurrency=MAXIMUM_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(settings.timeout),
    )
    # Uvicorn ends by repeating the signal that it was told to stop with; having done so well is no
    # reason to die of it.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    server = uvicorn.Server(config)
    try:
        server.run()
    except SystemExit:  # it has logged why: the port is taken, or not ours to take
        raise TMCIRError(f"{host}:{port}: cannot listen there; is the port taken?") from None
    if not server.started:
        raise TMCIRError("the service could not start; the log above says why")
