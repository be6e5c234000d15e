"""Training: the stages align and fuse over one loop, as a recipe says."""

from tmcir.training.checks import check_run
from tmcir.training.recipe import Recipe, load_recipe
from tmcir.training.run import train

__all__ = ["Recipe", "check_run", "load_recipe", "train"]
