"""Error answers, all of one shape: {"error": {"code": ..., "message": ...}}."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tmcir.core.errors import ImageError, QueryError, TMCIRError, UnknownItemError
from tmcir.service.logs import log_exception
from tmcir.service.wording import describe

#: Seconds that a client should wait before it repeats a request that met a full queue.
RETRY_AFTER = 1

_CODES = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}


class ServiceError(HTTPException):
    """An answer that is an error: its status, a code for programs and a message for people."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def busy() -> ServiceError:
    """Return a 503 for a full queue."""
    return unavailable("busy", f"too many requests at once; try again in {RETRY_AFTER} s")


def unavailable(code: str, message: str) -> ServiceError:
    """Return a 503 that asks the client to try again."""
    return ServiceError(503, code, message, {"Retry-After": str(RETRY_AFTER)})


def error_response(error: HTTPException) -> Response:
    """Return the answer to an error."""
    code = getattr(error, "code", None) or _CODES.get(error.status_code, "error")
    # A library's message may repeat the request; the standard's own words do not.
    phrase = HTTPStatus(error.status_code).phrase.lower()
    message = error.detail if isinstance(error, ServiceError) else phrase
    # ASCII, so that a lone surrogate in a message cannot break the answer
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Response(body, error.status_code, error.headers, media_type="application/json")


@contextmanager
def invalid_as(code: str) -> Iterator[None]:
    """Turn the errors of a ``with`` into answers of status 422 with this code."""
    try:
        yield
    except TMCIRError as error:
        raise ServiceError(422, code, str(error)) from None


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of ``app`` the one shape."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return error_response(_with_methods(error) if error.status_code == 405 else error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        field = getattr(request.scope.get("route"), "body_field", None)
        model = None if field is None else field.field_info.annotation
        message = describe(error.errors(), model)
        return error_response(ServiceError(422, "invalid_request", message))

    @app.exception_handler(TMCIRError)
    async def known(request: Request, error: TMCIRError) -> Response:
        if isinstance(error, UnknownItemError):
            return error_response(ServiceError(404, "unknown_item", str(error)))
        if isinstance(error, QueryError):
            return error_response(ServiceError(422, "invalid_query", str(error)))
        if isinstance(error, ImageError):
            return error_response(ServiceError(422, "invalid_image", str(error)))
        # Not the client's fault, and the message names folders of this machine.
        log_exception("gallery", error)
        message = "the gallery cannot answer now; try again later"
        return error_response(unavailable("unavailable", message))


def _with_methods(error: HTTPException) -> HTTPException:
    """Name the methods of a route; HEAD is answered wherever GET is."""
    allowed = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
    methods = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
    message = f"this route takes {methods}"
    return ServiceError(405, _CODES[405], message, {"Allow": methods})
