"""Reading what clients send: JSON, or a form of a picture and JSON, with errors that lead on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tmcir.service.errors import ServiceError
from tmcir.service.wording import describe, shown

RequestT = TypeVar("RequestT", bound=BaseModel)

_PICTURE = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF."
_FORM = "multipart/form-data"


class JSONRoute(APIRoute):
    """A route that takes JSON, and says so where something else is sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            media = _media_type(request)
            if media != "application/json" and not media.endswith("+json"):
                raise _unsupported("send the search as JSON, with Content-Type: application/json")
            _parse(await request.body())
            return await handle(request)

        return handle_json


@asynccontextmanager
async def opened_form(
    request: Request, model: type[RequestT]
) -> AsyncIterator[tuple[UploadFile, RequestT]]:
    """Yield the picture and the JSON of a form of the parts ``image`` and ``query``.

    Raises:
        ServiceError: The request is no such form.
    """
    if _media_type(request) != _FORM:
        raise _unsupported(
            f"send a form, {_FORM}, of the parts `image` (a file) and `query` (JSON)"
        )
    async with _form(request) as form:
        image = _only(form, "image")
        if not isinstance(image, UploadFile):
            raise _invalid("image: send a file, not a text or an address")
        query = _only(form, "query")
        content = await query.read() if isinstance(query, UploadFile) else query.encode()
        yield image, _parsed(model, _parse(content, "query: "))


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    try:
        form = await request.form()
    except ServiceError:
        raise
    except HTTPException as error:  # the parser's own message, which repeats nothing of the request
        raise ServiceError(400, "bad_request", f"the form cannot be read: {error.detail}") from None
    try:
        yield form
    finally:
        await form.close()


def _parsed(model: type[RequestT], content: Any) -> RequestT:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [{**problem, "loc": ("form", *problem["loc"])} for problem in error.errors()]
        raise _invalid(describe(problems, model)) from None


def form_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of a request that `opened_form` reads."""
    properties = {
        "image": {"type": "string", "format": "binary", "description": _PICTURE},
        "query": {
            "$ref": f"#/components/schemas/{model.__name__}",
            "description": "The request as JSON; a plain text field will do.",
        },
    }
    form = {"type": "object", "required": ["image", "query"], "properties": properties}
    encoding = {"query": {"contentType": "application/json"}}
    body = {"required": True, "content": {_FORM: {"schema": form, "encoding": encoding}}}
    return {"requestBody": body}


def _only(form: FormData, name: str) -> UploadFile | str:
    parts = form.getlist(name)
    if not parts:
        names = ", ".join(shown(key) for key in list(dict.fromkeys(form))[:5]) or "none"
        raise _invalid(f"{name}: is missing; the form's parts are: {names}")
    if len(parts) > 1:
        raise _invalid(f"{name}: send one, not {len(parts)}")
    return parts[0]


def _parse(content: bytes, place: str = "") -> Any:
    """Parse JSON.

    Raises:
        ServiceError: It is none. The message says where, and repeats nothing of it.
    """
    if not content:
        raise _invalid(f"{place}is empty" if place else "the request has no body")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise _invalid(f"{place}not JSON: {error.msg} (character {error.pos})") from None
    except UnicodeDecodeError:
        raise _invalid(f"{place}not JSON: not valid UTF-8") from None
    except RecursionError:
        raise _invalid(f"{place}nested too deeply") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise _invalid(f"{place}has too large a number") from None


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(message: str) -> ServiceError:
    return ServiceError(415, "unsupported_media_type", message)


def _invalid(message: str) -> ServiceError:
    return ServiceError(422, "invalid_request", message)
