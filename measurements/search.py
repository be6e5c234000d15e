"""Time of one search in a gallery that is open, by its steps.

python measurements/search.py GALLERY --image FILE --text "in red" --where "year >= 2012"
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

import tmcir


def milliseconds(function: Callable[[], object], runs: int) -> str:
    """Return median and 99th percentile of a call's time."""
    function()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return f"p50 {np.median(times):7.1f} ms   p99 {np.percentile(times, 99):7.1f} ms"


def main() -> None:
    """Print a row per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery")
    parser.add_argument("--image", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--where", help="adds a row for the search with this filter")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--runtime", choices=("torch", "onnx", "auto"), default="auto")
    arguments = parser.parse_args()
    record = tmcir.Gallery.read_model(arguments.gallery)
    if record is None:
        parser.error(f"{arguments.gallery}: there is no gallery")
    began = time.perf_counter()
    model = tmcir.load(record.source, runtime=arguments.runtime)
    gallery = tmcir.Gallery.open(arguments.gallery, model)
    image, text = arguments.image, arguments.text
    gallery.search(image, text)
    print(f"load the model, open {len(gallery):,} photos, first search: ", end="")
    print(f"{time.perf_counter() - began:.1f} s")
    steps: dict[str, Callable[[], object]] = {
        "decode and encode the image": lambda: model.encode_images([image]),
        "encode the text": lambda: model.encode_texts([text]),
        "compose (decode, both towers, fusion)": lambda: model.compose([image], [text]),
        "search with image and text": lambda: gallery.search(image, text),
    }
    if arguments.where:
        steps["search with a filter"] = lambda: gallery.search(image, text, where=arguments.where)
    for name, step in steps.items():
        print(f"{name:38}  {milliseconds(step, arguments.runs)}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
