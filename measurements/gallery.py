"""A gallery's store at scale: adding, building the index, searching with and without filters.

python measurements/gallery.py --count 200000
python measurements/gallery.py --count 200000 --uri milvus://127.0.0.1:19530/benchmark

The vectors are clustered, as those of photos are: each is a cluster's centre and noise, and a
query is the sum of two of them. Beside each search stands numpy on the same vectors in memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tmcir.gallery.stores.base import FileState, ModelRecord, Rows, Store, unit
from tmcir.gallery.stores.exact import ROUNDING, nearest
from tmcir.gallery.stores.opening import open_store

DIMENSIONS, CLUSTERS, K = 256, 2_000, 50
CHUNK = 10_000
#: Filters on a column of uniform numbers below 1,000, and the share that each keeps.
FILTERS = {"no filter": (None, 1_000), "10 %": ("number < 100", 100), "0.5 %": ("number < 5", 5)}


def draw_vectors(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return clustered unit vectors [N, D]; within a cluster the cosine is about 0.6."""
    centres = unit(random.normal(size=(CLUSTERS, DIMENSIONS)))
    noise = unit(random.normal(size=(count, DIMENSIONS)))
    return unit(centres[random.integers(0, CLUSTERS, count)] + 0.8 * noise)


def add(store: Store, vectors: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
    """Write all rows, a chunk at a time, without an index yet."""
    store.create(ModelRecord("benchmark", "0", DIMENSIONS), "float32")
    store.add_columns({"number": "integer"})
    for start in range(0, len(vectors), CHUNK):
        part = range(start, min(start + CHUNK, len(vectors)))
        store.insert(
            Rows(
                ids=[f"photos/{row:08}.jpg" for row in part],
                files=[FileState(f"/photos/{row:08}.jpg", 1, 1, f"{row:x}") for row in part],
                metadata=[{"number": int(numbers[row])} for row in part],
                vectors=vectors[part.start : part.stop],
                thumbnails=[b""] * len(part),
            )
        )


def measure(search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> str:
    """Return median and 99th percentile of a search's time over all queries."""
    search(queries[0])
    times = []
    for query in queries:
        began = time.perf_counter()
        search(query)
        times.append(1000 * (time.perf_counter() - began))
    return f"p50 {np.median(times):7.1f} ms   p99 {np.percentile(times, 99):7.1f} ms"


def compare(
    store: Store,
    vectors: NDArray[np.float32],
    numbers: NDArray[np.int64],
    queries: NDArray[np.float32],
) -> None:
    """Print a row per filter: the store, its recall, and numpy."""
    for name, (where, below) in FILTERS.items():
        allowed = None if where is None else np.flatnonzero(numbers < below)
        shares = []
        for query in queries:
            _, scores = nearest(vectors, query, K, allowed)
            found = store.nearest(query, K, where).scores
            shares.append((found >= scores[-1] - ROUNDING).sum() / len(scores))
        timed = measure(partial(store.nearest, k=K, where=where), queries)
        brute = measure(partial(nearest, vectors, k=K, allowed=allowed), queries)
        print(f"{name:10}  store {timed}   recall@{K} {np.mean(shares):.3f}   numpy {brute}")


def main() -> None:
    """Print a row per step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000, help="vectors")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--uri", help="a gallery that does not exist; a temporary folder without")
    parser.add_argument("--exact", action="store_true", help="build no index")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    vectors = draw_vectors(arguments.count, random)
    numbers = random.integers(0, 1_000, arguments.count)
    pairs = vectors[random.integers(0, arguments.count, (arguments.queries, 2))]  # [Q, 2, D]
    queries = unit(pairs.sum(axis=1))
    with tempfile.TemporaryDirectory() as folder:
        limit = arguments.count if arguments.exact else 0
        uri = arguments.uri or str(Path(folder) / "gallery")
        store = open_store(uri, limit)
        began = time.perf_counter()
        with store.alone():
            add(store, vectors, numbers)
            added = time.perf_counter()
            print(f"add {arguments.count:,} vectors: {added - began:.1f} s", flush=True)
            store.tidy()
        print(f"build the index: {time.perf_counter() - added:.1f} s; {store.info()}", flush=True)
        compare(store, vectors, numbers, queries)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
