"""Training: the stages align and fuse over one loop, as a recipe says."""

from tmcir.training.recipe import Recipe, load_recipe, recipe_names
from tmcir.training.run import train

__all__ = ["Recipe", "load_recipe", "recipe_names", "train"]
