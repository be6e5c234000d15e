"""The model card of a training run: what was trained on what, and what it scored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tmcir.models.card import USE
from tmcir.runs.checkpoint import TrainingState
from tmcir.training.recipe import Recipe


def model_card(recipe: Recipe, stages: Sequence[tuple[str, TrainingState]]) -> str:
    """Return the Markdown of a model's README.md.

    Args:
        recipe: The recipe as it was run.
        stages: Each finished stage's name and state, in order.
    """
    # Where the data lay and where the run was written is nobody's business but the trainer's.
    settings = recipe.model_dump(mode="json", exclude={"output": True, "dataset": {"root"}})
    rows = [f"| {name} | {state.step:,} | {_score(state)} |" for name, state in stages]
    return "\n".join(
        [
            "---",
            "library_name: tmcir",
            "tags:",
            "- composed-image-retrieval",
            "---",
            "",
            f"# {recipe.name}",
            "",
            f"{recipe.description}. Trained on {recipe.dataset.name} with seed {recipe.seed};"
            f" the method is {recipe.model.method.composer.title}.",
            "",
            "| stage | steps | validation of the weights that were kept |",
            "| --- | --- | --- |",
            *rows,
            "",
            "The weights were selected on the validation split, so that its figures flatter them:"
            " `tmcir evaluate` measures the test split.",
            "",
            USE,
            "## Recipe",
            "",
            "```json",
            json.dumps(settings, indent=2),
            "```",
            "",
        ]
    )


def _score(state: TrainingState) -> str:
    if state.best_score is None:
        return "none; the last weights"
    return f"{state.metric} {state.best_score:.2f} at step {state.best_step:,}"
