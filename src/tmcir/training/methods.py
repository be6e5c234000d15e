"""The group ``model.method`` of a recipe: a method by its name, with the settings of its class."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tmcir.core.errors import TMCIRError
from tmcir.models.composer import Composer
from tmcir.models.methods import DEFAULT, composer_class, trust_composer


class MethodSettings(BaseModel):
    """A method by its name, and the settings that its class declares.

    The name is one of ``tmcir.models.methods``, or ``module:Class`` for a composer of one's own: a
    recipe that names a class trusts it.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(
        default=DEFAULT,
        description="How queries are composed; `module:Class` for a composer of your own.",
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The values of all settings of the method."""
        return dict(self.model_extra or {})

    @property
    def composer(self) -> type[Composer]:
        """The class of the method."""
        return composer_class(self.name)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        try:
            found = trust_composer(self.name) if ":" in self.name else composer_class(self.name)
        except TMCIRError as error:
            raise ValueError(str(error)) from None
        try:
            checked = found.Settings.model_validate(self.settings)
        except ValidationError as error:
            valid = sorted(found.Settings.model_fields)
            raise ValidationError.from_exception_data(
                error.title, [_with_hint(problem, valid) for problem in error.errors()]
            ) from None
        assert self.__pydantic_extra__ is not None
        self.__pydantic_extra__.update(checked.model_dump(mode="json"))
        return self


def _with_hint(problem: Any, valid: list[str]) -> InitErrorDetails:
    """Return a problem with a setting; of an unknown one, with the nearest valid name."""
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(problem["loc"][-1], valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
        message = f"unknown setting, {hint}"
    # Braces are pydantic's for values of the context.
    text = message.replace("{", "{{").replace("}", "}}")
    return InitErrorDetails(
        type=PydanticCustomError("method", text), loc=problem["loc"], input=problem["input"]
    )
