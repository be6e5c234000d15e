"""A connection of the HTTP server that bounds the time of a request's head.

The limits of `tmcir.service.middleware` begin when a head is complete; a client that sends half of
one would keep its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def bounded_protocol(head_timeout: float) -> type[H11Protocol]:
    """Return an HTTP protocol that closes connections which send no whole head in time.

    Args:
        head_timeout: Seconds from the connection, or from the first byte of a later request, to
            the end of the head. Bytes that trickle in do not prolong it.
    """

    class BoundedProtocol(H11Protocol):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._bound_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._bound_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _bound_head(self) -> None:
            """Start the timer where a head is awaited; stop it where a request is under way."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(head_timeout, self.transport.close)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return BoundedProtocol
