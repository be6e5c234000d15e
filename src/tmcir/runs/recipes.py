"""Reading recipes: YAML files, dotted overrides, every error at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.runs.settings import RecipeSettings

TRAIN = "train"
_COMMAND = "command"

AnyRecipe = TypeVar("AnyRecipe", bound=RecipeSettings)


def recipe_names(command: str | None = None) -> list[str]:
    """Return the names of the shipped recipes, or of those for one command."""
    files = resources.files("tmcir.recipes").iterdir()
    names = sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    return [name for name in names if command in (None, recipe_command(name))]


def recipe_text(source: str | Path) -> str:
    """Return a recipe as it was written.

    Args:
        source: Name of a shipped recipe, or path of a YAML file.

    Raises:
        TMCIRError: There is no such recipe.
    """
    return _read_text(str(source))


def recipe_content(source: str | Path) -> dict[str, Any]:
    """Return the settings that a recipe sets, with YAML's aliases resolved.

    Raises:
        TMCIRError: There is no such recipe, or it is not YAML.
    """
    return _read(str(source))


def recipe_command(source: str | Path) -> str:
    """Return the command that a recipe is for.

    Raises:
        TMCIRError: There is no such recipe, or it is not YAML.
    """
    return str(_read(str(source)).get(_COMMAND, TRAIN))


def recipe_description(source: str | Path) -> str:
    """Return the one line in which a recipe describes itself; empty where it has none.

    Raises:
        TMCIRError: There is no such recipe, or it is not YAML.
    """
    return str(_read(str(source)).get("description", ""))


def load_settings(
    kind: type[AnyRecipe], source: str | Path, overrides: Sequence[str] = ()
) -> AnyRecipe:
    """Read a recipe and check all of it.

    Args:
        kind: The settings that the recipe must fill; its field ``command`` names the command.
        source: Name of a shipped recipe, or path of a YAML file.
        overrides: ``dotted.key=value`` strings; values are read as YAML.

    Raises:
        TMCIRError: The recipe is unknown, is for another command, or has errors; the message names
            every one of them.
    """
    command = kind.model_fields[_COMMAND].default
    content = _read(str(source), command)
    if content.get(_COMMAND, TRAIN) != command:
        raise TMCIRError(
            f"recipe {source}: is for `tmcir {content.get(_COMMAND, TRAIN)}`, not for"
            f" `tmcir {command}`; for this command: {', '.join(recipe_names(command))}"
        )
    for override in overrides:
        _apply(content, *parse_override(override))
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_describe(kind, problem) for problem in error.errors())
        raise TMCIRError(f"recipe {source}: {problems}") from None


def parse_override(override: str) -> tuple[str, Any]:
    """Return the dotted key and the value of ``key=value``, whose value is read as YAML.

    Raises:
        TMCIRError: The text does not have that form.
    """
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise TMCIRError(f"override {override!r}: write key=value, such as stages.fuse.epochs=3")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise TMCIRError(f"override {override!r}: the value is not YAML") from None


def write_override(key: str, value: Any) -> str:
    """Return the text that ``parse_override`` reads as this key and this JSON value."""
    return f"{key}={json.dumps(value)}"  # JSON is YAML


def choices(annotation: Any) -> list[type[BaseModel]]:
    """Return the groups of settings that an annotation names: itself, or those of its union."""
    members = [annotation, *getattr(annotation, "__args__", ())]
    return [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]


def _read_text(source: str, command: str | None = None) -> str:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TMCIRError(f"recipe {source}: {error}") from None
    file = resources.files("tmcir.recipes") / f"{source}.yaml"
    if path.name != source or not file.is_file():
        raise unknown_choice("recipe", source, recipe_names(command))
    return file.read_text(encoding="utf-8")


def _read(source: str, command: str | None = None) -> dict[str, Any]:
    text = _read_text(source, command)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TMCIRError(f"recipe {source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TMCIRError(f"recipe {source}: not a mapping of settings")
    return content


def _apply(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise TMCIRError(f"override {key!r}: {parent!r} is not a group of settings")
        # Copied, because YAML's aliases share one object and the override changes one place.
        place[parent] = place = dict(inner)
    place[last] = value


def _describe(kind: type[BaseModel], problem: Any) -> str:
    place = ".".join(_walk(kind, problem["loc"])[0])
    last = place.rpartition(".")[2]
    if problem["type"] == "extra_forbidden":
        valid = list(_walk(kind, problem["loc"][:-1])[1][0].model_fields)
        near = get_close_matches(last, valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(sorted(valid))}"
        return f"{place}: unknown setting, {hint}"
    if problem["type"] == "union_tag_invalid":  # a name chooses the settings that a group has
        names = re.findall(r"'([^']*)'", problem["ctx"]["expected_tags"])
        return f"{place}: {unknown_choice(last, problem['ctx']['tag'], names)}"
    if problem["type"] == "union_tag_not_found":
        return f"{place}: name the {last} with {place}.name"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _walk(
    kind: type[BaseModel], location: Sequence[Any]
) -> tuple[list[str], list[type[BaseModel]]]:
    """Return a place of the recipe as a person writes it, and the groups of settings it may hold.

    Where a name chooses among several groups, pydantic puts it into the location, too.
    """
    path: list[str] = []
    groups = [kind]
    for part in location:
        if isinstance(part, int):  # a place in a list, whose members have the same settings
            path.append(str(part))
        elif len(groups) > 1:
            groups = [group for group in groups if part in _names(group)]
        else:
            field = groups[0].model_fields.get(part) if groups else None
            groups = [] if field is None else choices(field.annotation)
            path.append(str(part))
    return path, groups


def _names(kind: type[BaseModel]) -> tuple[Any, ...]:
    """Return the values that choose a group of settings: those of its field ``name``."""
    return getattr(kind.model_fields["name"].annotation, "__args__", ())
