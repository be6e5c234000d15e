"""JSON files as checked values: one way to read them, and one line about what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic import ValidatorFunctionWrapHandler as Handler
from pydantic.functional_validators import WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import LFS_POINTER

T = TypeVar("T")
_SHOWN = 3  # mistakes in one message


class Record(BaseModel):
    """An object of a JSON file, whose other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _must_be(words: str, shown: bool = False) -> WrapValidator:
    """Return a validator that says what a value must be, whatever is wrong inside of it.

    ``shown`` adds what the value is, where that is a number.
    """

    def validate(value: Any, handler: Handler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            got = f"is {value}, but " if shown and isinstance(value, int | float) else ""
            raise PydanticCustomError("wrong_value", f"{got}must be {words}") from None

    return WrapValidator(validate)


_Text = Annotated[str, Strict()]
_Whole = Annotated[int, Strict()]

#: A string, perhaps an empty one.
Text = Annotated[_Text, _must_be("a text")]
#: A string that is not empty.
Name = Annotated[Text, Field(min_length=1)]
#: A whole number that is not negative.
Whole = Annotated[_Whole, Field(ge=0), _must_be("a whole number from 0", shown=True)]
#: A list of strings.
Texts = Annotated[tuple[_Text, ...], _must_be("a list of texts")]
#: A list of whole numbers.
Wholes = Annotated[tuple[_Whole, ...], _must_be("a list of whole numbers")]


@overload
def read_json(path: Path) -> Any: ...


@overload
def read_json(path: Path, kind: type[T]) -> T: ...


def read_json(path: Path, kind: type[Any] | None = None) -> Any:
    """Read a JSON file as a value of a type: a `Record`, a dataclass, or whatever pydantic knows.

    Args:
        path: The file.
        kind: The type; None returns the content as it is.

    Raises:
        TMCIRError: The file is missing, is not JSON, or its content is of another form.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith(LFS_POINTER):
            raise TMCIRError(f"{path}: is a Git LFS pointer: `git lfs pull` fetches the file")
        content = json.loads(text)
    except FileNotFoundError:
        raise TMCIRError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise TMCIRError(f"{path}: not readable as JSON: {error}") from None
    return content if kind is None else check(content, str(path), kind)


def parse_json(text: str, where: str, kind: type[T]) -> T:
    """Read JSON as a value of a type.

    Args:
        text: The JSON.
        where: File and place, for the error.
        kind: The type.

    Raises:
        TMCIRError: It is no JSON, or its content is of another form.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise TMCIRError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, deep nesting
        raise TMCIRError(f"{where}: not JSON that can be read: {error}") from None
    return check(content, where, kind)


def check(content: object, where: str, kind: type[T]) -> T:
    """Return what JSON held as a value of a type.

    Raises:
        TMCIRError: It is of another form; one line that names the place and every wrong field.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        mistakes = [_describe(mistake, kind) for mistake in error.errors(include_url=False)]
        more = "; ..." if len(mistakes) > _SHOWN else ""
        raise TMCIRError(f"{where}: {'; '.join(mistakes[:_SHOWN])}{more}") from None


def _describe(mistake: ErrorDetails, kind: Any) -> str:
    *above, last = mistake["loc"] or ("",)
    parents = "".join(f"{_quoted(part)}: " for part in above)
    name = _quoted(last) if last != "" else ""
    problem = mistake["type"]
    if problem == "missing":
        return f"{parents}{name} is missing"
    if problem in ("string_too_short", "too_short"):
        return f"{parents}{name} is empty"
    if problem == "extra_forbidden":
        return parents + str(unknown_choice("key", str(last), _fields(kind, above)))
    if problem in ("model_type", "dataclass_type", "dict_type"):
        return f"{parents}{name} must be an object{_required(kind, mistake['loc'])}".strip()
    if problem in ("list_type", "tuple_type"):
        return f"{parents}{name} must be a list".strip()
    words = mistake["msg"].removeprefix("Value error, ")
    colon = "" if problem == "wrong_value" or not name else ":"
    return f"{parents}{name}{colon} {words}".strip()


def _quoted(part: int | str) -> str:
    return f"entry {part}" if isinstance(part, int) else repr(part)


def _fields(kind: Any, path: Sequence[int | str]) -> list[str]:
    """Return the fields of the record at a place below another one; none where it is no record."""
    for part in path:
        field = getattr(kind, "model_fields", {}).get(part)
        kind = None if field is None else field.annotation
    return list(getattr(kind, "model_fields", {}))


def _required(kind: Any, path: Sequence[int | str]) -> str:
    fields = [] if path else _fields(kind, path)
    needed = [name for name in fields if kind.model_fields[name].is_required()]
    return f" with {', '.join(needed[:-1])} and {needed[-1]}" if len(needed) > 1 else ""
