"""Recipes as checked settings: YAML files, dotted overrides, every error at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tmcir.core.errors import TMCIRError, unknown_choice
from tmcir.core.files import write_text
from tmcir.core.json_files import read_json
from tmcir.data.dataset import Dataset
from tmcir.data.datasets import open_dataset

TRAIN = "train"
RECIPE = "recipe.json"
_COMMAND = "command"


class Settings(BaseModel):
    """A group of settings: unknown ones are errors, and none changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OptimiserSettings(Settings):
    """How weights are optimised, by AdamW, in the one training loop."""

    learning_rate: float = Field(default=5e-4, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(default=0.05, ge=0, description="Of matrices; AdamW.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps that warm up.")
    max_gradient_norm: float = Field(default=1.0, gt=0, description="Gradients are clipped to it.")
    average: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Decay of a running average of the weights, which is validated and kept, such"
        " as 0.999; none: the weights themselves.",
    )


class DatasetSettings(Settings):
    """Which dataset, and where it lies."""

    name: str = Field(description="As on the command line, such as fashion-iq.")
    root: Path = Field(description="Folder of the dataset.")
    options: dict[str, Any] = Field(
        default={}, description="Further options of the dataset, such as categories or seed."
    )
    skip_broken: bool = Field(
        default=False,
        description="Leave out what has a missing or broken image, instead of stopping.",
    )

    def open(self, split: str) -> Dataset:
        """Open a split of it.

        Raises:
            TMCIRError: The dataset, the split or an option is unknown, or the folder lacks a file.
        """
        return open_dataset(self.name, self.root, split, **self.options)

    @field_validator("options")
    @classmethod
    def _own_settings(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in ("root", "split"):
            if name in options:
                raise ValueError(
                    f"{name!r} is no option: the root has its own setting, and the"
                    " stages choose the split"
                )
        return options


class RecipeSettings(Settings):
    """What every recipe has, whatever it is a recipe for."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Names the run.")
    description: str = Field(description="One line for `tmcir recipes`.")
    output: Path | None = Field(default=None, description="Folder of the run; runs/{name}.")

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.output or Path("runs") / self.name


class RunSettings(RecipeSettings):
    """What every recipe of one run on one dataset has."""

    seed: int = Field(default=0, ge=0, lt=2**32, description="Fixes all that is left to chance.")
    dataset: DatasetSettings = Field(description="The data.")


Kind = TypeVar("Kind", bound=RecipeSettings)


def recipe_names(command: str | None = None) -> list[str]:
    """Return the names of the shipped recipes; of those of one command where it is given."""
    files = resources.files("tmcir.recipes").iterdir()
    names = sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
    return [name for name in names if command in (None, recipe_command(name))]


def recipe_command(source: str | Path) -> str:
    """Return the command that a recipe is for.

    Raises:
        TMCIRError: There is no such recipe, or it is not YAML.
    """
    return str(_read(str(source)).get(_COMMAND, TRAIN))


def recipe_description(source: str | Path) -> str:
    """Return a recipe's line about itself.

    Raises:
        TMCIRError: There is no such recipe, or it is not YAML.
    """
    return str(_read(str(source)).get("description", ""))


def recipe_text(name: str) -> str:
    """Return the YAML text of a shipped recipe, comments included.

    Raises:
        TMCIRError: There is no such recipe.
    """
    file = resources.files("tmcir.recipes") / f"{name}.yaml"
    if Path(name).name != name or not file.is_file():
        raise unknown_choice("recipe", name, recipe_names())
    return file.read_text(encoding="utf-8")


def recipe_content(name: str) -> dict[str, Any]:
    """Return the settings that a shipped recipe sets, with YAML's aliases resolved.

    Raises:
        TMCIRError: There is no such recipe.
    """
    recipe_text(name)
    return _read(name)


def load_settings(kind: type[Kind], source: str | Path, overrides: Sequence[str] = ()) -> Kind:
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


def claim_folder(run: RunSettings, changeable: dict[str, Any] | None = None) -> None:
    """Write the recipe into the run's folder, or see that the one there is the same.

    Args:
        run: The recipe.
        changeable: Settings that may differ from those of the run in the folder, as pydantic's
            ``exclude`` takes them.

    Raises:
        TMCIRError: The folder holds a run with other settings, or cannot be written.
    """
    path = run.folder / RECIPE
    content = run.model_dump_json(indent=2, exclude=changeable) + "\n"
    if not path.exists():
        write_text(path, content)
    elif read_json(path) != json.loads(content):
        raise TMCIRError(
            f"{run.folder} holds a run with other settings: choose another folder with"
            " output=..., or remove it"
        )


def _read(source: str, command: str | None = None) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TMCIRError(f"recipe {source}: {error}") from None
    else:
        file = resources.files("tmcir.recipes") / f"{source}.yaml"
        if path.name != source or not file.is_file():
            raise unknown_choice("recipe", source, recipe_names(command))
        text = file.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TMCIRError(f"recipe {source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TMCIRError(f"recipe {source}: not a mapping of settings")
    return content


def parse_override(override: str) -> tuple[str, Any]:
    """Return the dotted key and the value of ``key=value``, whose value is read as YAML.

    Raises:
        TMCIRError: It is not of that form.
    """
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise TMCIRError(f"override {override!r}: write key=value, such as stages.fuse.epochs=3")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise TMCIRError(f"override {override!r}: the value is not YAML") from None


def write_override(key: str, value: Any) -> str:
    """Return what ``parse_override`` reads as this key and this value of JSON's kinds."""
    return f"{key}={json.dumps(value)}"  # JSON is YAML


def _apply(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise TMCIRError(f"override {key!r}: {parent!r} is not a group of settings")
        # A copy: what YAML's aliases share is one object, and only this place is meant.
        place[parent] = place = dict(inner)
    place[last] = value


def choices(annotation: Any) -> list[type[BaseModel]]:
    """Return the groups of settings that an annotation names: itself, or those of its union."""
    members = [annotation, *getattr(annotation, "__args__", ())]
    return [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]


def _describe(kind: type[BaseModel], problem: Any) -> str:
    place = ".".join(_walk(kind, problem["loc"])[0])
    last = place.rpartition(".")[2]
    if problem["type"] == "extra_forbidden":
        valid = list(_walk(kind, problem["loc"][:-1])[1][0].model_fields)
        near = get_close_matches(last, valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(sorted(valid))}"
        return f"{place}: unknown setting, {hint}"
    if problem["type"] == "union_tag_invalid":  # a name that says which settings a group has
        names = re.findall(r"'([^']*)'", problem["ctx"]["expected_tags"])
        return f"{place}: {unknown_choice(last, problem['ctx']['tag'], names)}"
    if problem["type"] == "union_tag_not_found":
        return f"{place}: say which {last} with {place}.name"
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
        if isinstance(part, int):  # a place in a list, of which each has the same settings
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
