"""ASGI middleware: logs, security headers, keys, limits of bytes and time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
import uuid
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tmcir.service.errors import ServiceError, busy, error_response
from tmcir.service.logs import log, log_exception
from tmcir.service.metrics import Metrics
from tmcir.service.settings import ServiceSettings
from tmcir.service.signing import THUMBNAILS, Signer

#: Bytes of a request without an image: as many turns as there may be, each from the longest id.
MAXIMUM_BODY = 256 * 1024

_API = "/api/"
_PROTECTED = (_API, "/metrics")
_METHODS = ("GET", "HEAD", "POST", "DELETE")
_ITEMS = "/api/v1/items/"
_REMOVED = "/api/v1/removed"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Share:
    """Lets pages of other sites show thumbnails, where such sites are named.

    An ``<img>`` sends no origin to check; what it shows cannot be read by the page's scripts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            await send(message)

        shared = scope["type"] == "http" and scope["path"].startswith(f"/{THUMBNAILS}")
        await self._app(scope, receive, answer if shared else send)


class Observe:
    """Outermost: names a request, logs and counts it, and answers unexpected errors with a 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(scope=message), scope["path"], name)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            log_exception("error", error, request=name)
            if not status:
                text = f"something went wrong here; the log has it as request {name}"
                response = error_response(ServiceError(500, "internal", text))
                await response(scope, receive, answer)
        finally:
            self._note(scope, name, status, time.perf_counter() - began)

    def _note(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        # The route, not the path: paths name photos. A status of 0: the client went away.
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        milliseconds = round(1000 * seconds, 1)
        log(
            "request",
            request=name,
            method=method,
            route=route,
            status=status,
            milliseconds=milliseconds,
        )


class Head:
    """Answers HEAD like GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            await send(
                {**message, "body": b""} if message["type"] == "http.response.body" else message
            )

        # a copy: the HTTP server still has to see that no body is due
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, answer)
        finally:
            scope["route"] = as_get.get("route")


class Guard:
    """Rejects unknown hosts and, where keys are set, requests without a key."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, signer: Signer) -> None:
        self._app = app
        self._signer = signer
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._admin_keys = [_digest(key) for key in settings.admin_keys]
        self._keys = [_digest(key) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and (error := self._rejection(scope)) is not None:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _rejection(self, scope: Scope) -> ServiceError | None:
        headers = Headers(scope=scope)
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            return ServiceError(
                400, "unknown_host", "this host name is not served here; see --allowed-host"
            )
        if _changes(scope):
            return self._rejected_change(headers)
        protected = self._keys and scope["path"].startswith(_PROTECTED)
        if protected and not self._has_key(headers) and not self._is_signed(scope):
            return _unauthorized("an API key")
        return None

    def _rejected_change(self, headers: Headers) -> ServiceError | None:
        if not self._admin_keys:
            message = "nothing can be changed here; see --admin-key"
        elif _matches(headers, self._admin_keys):
            return None
        elif not _matches(headers, self._keys):
            return _unauthorized("an admin key")
        else:
            message = "this key may search and change nothing; give an admin key"
        return ServiceError(403, "forbidden", message)

    def _is_signed(self, scope: Scope) -> bool:
        query = scope["query_string"].decode("latin-1")
        return scope["method"] == "GET" and self._signer.accepts(scope["path"], query)

    def _has_key(self, headers: Headers) -> bool:
        return _matches(headers, [*self._keys, *self._admin_keys])


class Limits:
    """Bounds bytes and time of a request and, for POST, how many are under way at once."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] != "POST":
            await self._timed(scope, receive, send)
        elif self._under_way >= self._settings.queue_size:
            await error_response(busy())(scope, receive, send)
        else:
            self._under_way += 1
            try:
                with self._metrics.under_way.track_inprogress():
                    await self._timed(scope, receive, send)
            finally:
                self._under_way -= 1

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(scope, receive, self._settings.maximum_upload)
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            async with asyncio.timeout(self._settings.timeout):
                if (error := body.rejection()) is not None:
                    await error_response(error)(scope, receive, answer)
                    return
                await self._app(scope, body.receive, answer)
        except TimeoutError:
            if started:
                raise  # half an answer is there: all that is left is to break it off
            limit = f"{self._settings.timeout:g} s"
            error = (
                # browsers and proxies repeat a 408 by themselves: only for a client that was slow
                ServiceError(408, "timeout", f"the request did not arrive within {limit}")
                if body.awaited
                else ServiceError(504, "timeout", f"no answer within {limit}; try again later")
            )
            error.headers = {"Connection": "close"}
            await error_response(error)(scope, receive, answer)


class _Body:
    """Counts a request's bytes as they come in, whatever its head says."""

    def __init__(self, scope: Scope, receive: Receive, maximum_upload: int) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._declared = headers.get("content-length", "0")
        form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        self._limit = maximum_upload if form else MAXIMUM_BODY
        self._encoding = headers.get("content-encoding", "identity").strip().lower()
        self._received = 0
        self._complete = False
        self.awaited = False  # whether the app waits for more of the request

    def rejection(self) -> ServiceError | None:
        """Return the error of the head, before the body is read."""
        if self._declared.isdecimal() and int(self._declared[:20]) > self._limit:
            return self._too_large()
        if self._encoding not in ("", "identity"):
            message = "compressed bodies are not read; send it without Content-Encoding"
            return ServiceError(415, "unsupported_media_type", message)
        return None

    async def receive(self) -> Message:
        self.awaited = not self._complete
        message = await self._receive()
        self.awaited = False
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._received > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> ServiceError:
        message = f"the request has more than {self._limit:,} bytes"
        return ServiceError(413, "too_large", message, {"Connection": "close"})


def _complete(headers: MutableHeaders, path: str, name: str) -> None:
    """Add what every answer says."""
    defaults: Mapping[str, str] = {
        **_HEADERS,
        "Content-Security-Policy": _API_POLICY if path.startswith(_API) else _PAGE_POLICY,
        "Cache-Control": "no-store",
        "X-Request-ID": name,
    }
    for key, value in defaults.items():
        headers.setdefault(key, value)


def _changes(scope: Scope) -> bool:
    path: str = scope["path"]
    removes = scope["method"] == "DELETE" and path.startswith(_ITEMS)
    return removes or path.startswith(_REMOVED)


def _unauthorized(what: str) -> ServiceError:
    message = f"give {what} as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
    return ServiceError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


def _matches(headers: Headers, keys: Sequence[bytes]) -> bool:
    """Return whether a request has one of the keys, of which digests are given."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    digest = _digest(given)
    # every key is compared, in constant time: how long it takes says nothing
    matches = [hmac.compare_digest(digest, key) for key in keys]
    return any(matches)


def _host_name(host: str) -> str:
    """Return a Host header without its port: ``[::1]:8000`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _digest(key: str) -> bytes:
    # of one length, so that comparing says nothing about the length either
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
