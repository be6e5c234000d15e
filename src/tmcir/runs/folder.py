"""The folder of a run: it belongs to one recipe, and a run of another recipe is rejected."""

from __future__ import annotations

import json
from typing import Any

from tmcir.core.errors import TMCIRError
from tmcir.core.files import write_text
from tmcir.core.json_files import read_json
from tmcir.runs.settings import RecipeSettings

RECIPE = "recipe.json"


def claim_folder(run: RecipeSettings, changeable: dict[str, Any] | None = None) -> None:
    """Write the recipe into the run's folder, unless the folder has it already.

    Args:
        run: The recipe.
        changeable: Settings in which the recipe in the folder may differ, as pydantic's
            ``exclude`` takes them.

    Raises:
        TMCIRError: The folder holds a run with other settings, or cannot be written.
    """
    if not check_folder(run, changeable):
        write_text(run.folder / RECIPE, _content(run, changeable))


def check_folder(run: RecipeSettings, changeable: dict[str, Any] | None = None) -> bool:
    """Return whether the folder holds a run of this recipe, which the same command resumes.

    Raises:
        TMCIRError: It holds a run with other settings.
    """
    path = run.folder / RECIPE
    if not path.exists():
        return False
    if read_json(path) != json.loads(_content(run, changeable)):
        raise TMCIRError(
            f"{run.folder} holds a run with other settings: choose another folder with"
            " output=..., or remove it"
        )
    return True


def _content(run: RecipeSettings, changeable: dict[str, Any] | None) -> str:
    return run.model_dump_json(indent=2, exclude=changeable) + "\n"
