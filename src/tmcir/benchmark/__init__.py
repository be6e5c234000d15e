"""The benchmark: methods and ablations on the same data by the same loop, in one table."""

from tmcir.benchmark.recipe import BenchmarkRecipe, load_benchmark
from tmcir.benchmark.run import run_benchmark

__all__ = ["BenchmarkRecipe", "load_benchmark", "run_benchmark"]
