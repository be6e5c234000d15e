"""Pseudo-targets: what a modification text intends, drawn by a diffusion model."""

from tmcir.generation.editor import Editor, load_editor
from tmcir.generation.job import GenerateReport, generate
from tmcir.generation.recipe import (
    EditorRecipe,
    EditorSettings,
    GenerateRecipe,
    load_editor_recipe,
    load_generate_recipe,
)
from tmcir.generation.train import train_editor

__all__ = [
    "Editor",
    "EditorRecipe",
    "EditorSettings",
    "GenerateRecipe",
    "GenerateReport",
    "generate",
    "load_editor",
    "load_editor_recipe",
    "load_generate_recipe",
    "train_editor",
]
