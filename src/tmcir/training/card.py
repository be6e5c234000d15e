"""The model card of a training run: what was trained on what, and what it scored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tmcir.models.card import FRONT_MATTER, USE
from tmcir.models.tmcir import TMCIR
from tmcir.runs.checkpoint import TrainingState
from tmcir.training.recipe import Recipe


def model_card(recipe: Recipe, model: TMCIR, stages: Sequence[tuple[str, TrainingState]]) -> str:
    """Return the Markdown of a model's README.md.

    Args:
        recipe: The recipe as it was run.
        model: The trained model.
        stages: Each finished stage's name and state, in order.
    """
    # The folders of data and run are private to whoever trained the model.
    settings = recipe.model_dump(mode="json", exclude={"output": True, "dataset": {"root"}})
    rows = [_row(name, state) for name, state in stages]
    description = recipe.description.rstrip(".") + ". " if recipe.description else ""
    return "\n".join(
        [
            FRONT_MATTER,
            f"# {recipe.name}",
            "",
            f"{description}Trained on {recipe.dataset.name} with seed {recipe.seed}; the method is"
            f" {model.composer.title}.",
            "",
            "| stage | steps | weights that were kept | validation before | kept | at the end |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            *_selection(stages),
            USE,
            "## Recipe",
            "",
            "```json",
            json.dumps(settings, indent=2),
            "```",
            "",
        ]
    )


def _row(name: str, state: TrainingState) -> str:
    if state.best_score is None:
        return f"| {name} | {state.step:,} | the last | - | - | - |"
    scores = [state.first_score, state.best_score, state.last_score]
    cells = ["-" if one is None else f"{state.metric} {one:.2f}" for one in scores]
    return f"| {name} | {state.step:,} | those of step {state.best_step:,} | {' | '.join(cells)} |"


def _selection(stages: Sequence[tuple[str, TrainingState]]) -> list[str]:
    """Return what a reader must know of the validation scores, where there are some."""
    selected = [name for name, state in stages if state.best_score is not None]
    if not selected:
        return []
    return [
        f"The weights of {' and '.join(selected)} were selected on the validation split, so its"
        " scores are optimistic: measure another split with `tmcir evaluate`.",
        "",
    ]
