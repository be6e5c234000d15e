"""The model card of a training run: what was trained on what, and what it scored."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tmcir.models.card import USE
from tmcir.models.methods import composer_class
from tmcir.runs.checkpoint import Progress
from tmcir.training.recipe import Recipe


def model_card(recipe: Recipe, stages: Sequence[tuple[str, Progress]]) -> str:
    """Return the Markdown of a model's README.md.

    Args:
        recipe: The recipe as it was run.
        stages: Each finished stage's name and progress, in order.
    """
    # Where the data lay and where the run was written is nobody's business but the trainer's.
    settings = recipe.model_dump(mode="json", exclude={"output": True, "dataset": {"root"}})
    rows = [f"| {name} | {progress.step:,} | {_score(progress)} |" for name, progress in stages]
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
            f" the method is {composer_class(recipe.model.method.name).title}.",
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


def _score(progress: Progress) -> str:
    if progress.best_score is None:
        return "none; the last weights"
    return f"{progress.best_metric} {progress.best_score:.2f} at step {progress.best_step:,}"
