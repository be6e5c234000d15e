"""The benchmark: methods and ablations, trained and measured alike, in one table."""

from tmcir.benchmark.recipe import BenchmarkRecipe, load_benchmark
from tmcir.benchmark.run import run_benchmark

__all__ = ["BenchmarkRecipe", "load_benchmark", "run_benchmark"]
