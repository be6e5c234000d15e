"""Error answers, all of one shape: {"error": {"code": ..., "message": ...}}."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tmcir.core.errors import ImageError, QueryError, TMCIRError, UnknownItemError
from tmcir.service.logs import log_exception

#: How long a client that was turned away should wait, in seconds.
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
    """Build the answer of a service that has as much to do as it takes on."""
    return not_now("busy", f"too many requests at once; try again in {RETRY_AFTER} s")


def not_now(code: str, message: str) -> ServiceError:
    """Build the answer of a service that may do later what it cannot do now."""
    return ServiceError(503, code, message, {"Retry-After": str(RETRY_AFTER)})


def error_response(error: HTTPException) -> Response:
    """Return an error as the answer that clients get."""
    code = getattr(error, "code", None) or _CODES.get(error.status_code, "error")
    # A library's message may repeat the request; the standard's own words do not.
    plain = HTTPStatus(error.status_code).phrase.lower()
    message = error.detail if isinstance(error, ServiceError) else plain
    # ASCII, so that a lone surrogate in a message cannot break the answer
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Response(body, error.status_code, error.headers, media_type="application/json")


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Turn complaints about what a client sent into answers of status 422 with this code."""
    try:
        yield
    except TMCIRError as error:
        raise ServiceError(422, code, str(error)) from None


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of ``app`` the one shape."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(ServiceError(422, "invalid_request", _describe(error)))

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
        return error_response(
            not_now("unavailable", "the gallery cannot answer now; try again later")
        )


def _describe(error: RequestValidationError) -> str:
    """Name every place that is wrong, without what stands there."""
    problems = []
    for problem in error.errors()[:10]:
        place = ".".join(_shown(part) for part in problem["loc"][1:])
        message = str(problem["msg"]).removeprefix("Value error, ")
        problems.append(f"{place}: {message}" if place else message)
    return "; ".join(problems)


def _shown(part: Any) -> str:
    """Return a piece of a place; an unknown key comes from the client and may be anything."""
    text = str(part)
    return text if len(text) <= 40 and text.isprintable() else "..."
