"""What product words bring: R@10 with and without them, and what they cost.

    tmcir index shop photos --metadata styles.csv --model mini
    python measurements/words.py shop --root data/fashion-products --columns productDisplayName
    python measurements/words.py --count 200000

The queries have known answers: captions of the products as texts, and the composed queries of the
protocol. Captions and changes are made of columns of the table (colour, type, gender), which
titles repeat, so titles help here as much as they do where shops write titles well.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tmcir.data.fashion_products import FashionProducts
from tmcir.data.product_wordings import describe
from tmcir.gallery import Gallery, Query, Words
from tmcir.gallery.ranking import by_vector
from tmcir.gallery.stores.base import FileState, ModelRecord, Rows, unit
from tmcir.gallery.stores.opening import open_store
from tmcir.gallery.words import find_words, fused

DIMENSIONS, CHUNK, K = 256, 10_000, 10
WORDS = [
    "red",
    "blue",
    "black",
    "white",
    "green",
    "navy",
    "grey",
    "pink",
    "shirt",
    "shoe",
    "dress",
    "bag",
    "watch",
    "cotton",
    "wool",
]


def recall(
    gallery: Gallery,
    queries: Sequence[Query],
    answers: Sequence[set[str]],
    references: Sequence[str],
    columns: Sequence[str],
) -> tuple[float, float]:
    """Return R@10 in percent, and the share of right photos among the first 10."""
    found, precision = [], []
    vectors = np.concatenate(
        [gallery.embed(queries[at : at + 32]) for at in range(0, len(queries), 32)]
    )
    for row, query in enumerate(queries):
        words = Words(query.text, columns) if columns else None
        hits = gallery.find(vectors[row], K + 1, words=words)
        kept = [hit.id for hit in hits if not references or hit.id != references[row]][:K]
        right = [name in answers[row] for name in kept]
        found.append(any(right))
        precision.append(np.mean(right))
    return 100 * float(np.mean(found)), 100 * float(np.mean(precision))


def compare(gallery: Gallery, dataset: FashionProducts, count: int, columns: list[str]) -> None:
    """Print a row per kind of query, without words and with them."""
    generator = random.Random(0)
    triplets = generator.sample(list(dataset.triplets), count)
    named = {name: dataset.caption_of(name) for name in dataset.image_names()}
    targets = [triplet.target or "" for triplet in triplets]
    captions = [caption for target in targets if (caption := dataset.caption_of(target))]
    texts = [describe((*(v.lower() for v in caption), ""), generator) for caption in captions]
    alike = [{f"{n}.jpg" for n, other in named.items() if other == c} for c in captions]
    kinds = {
        "text": ([Query(text=text) for text in texts], alike, []),
        "photo and text": (
            [Query(image=dataset.image_path(t.reference), text=t.text) for t in triplets],
            [{f"{name}.jpg" for name in triplet.answers} for triplet in triplets],
            [f"{triplet.reference}.jpg" for triplet in triplets],
        ),
    }
    print("queries           words                           R@10   right of 10")
    for kind, (queries, answers, references) in kinds.items():
        for names in ([], columns):
            values = recall(gallery, queries, answers, references, names)
            shown = ",".join(names) or "none"
            print(f"{kind:16}  {shown:30}  {values[0]:5.1f}   {values[1]:5.1f}", flush=True)


def measure_time(count: int, queries: int) -> None:
    """Print p50 of a search with and without words in drawn rows of titles of eight words."""
    random_numbers = np.random.default_rng(0)
    vectors = unit(random_numbers.normal(size=(count, DIMENSIONS)).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "shop"), count)
        with store.alone():
            store.create(ModelRecord("drawn", "0", DIMENSIONS), "float32")
            store.add_columns({"title": "text", "article": "integer"})
            for start in range(0, count, CHUNK):
                part = range(start, min(start + CHUNK, count))
                titles = random_numbers.choice(WORDS, (len(part), 7))
                store.insert(
                    Rows(
                        ids=[f"{row:08}.jpg" for row in part],
                        files=[FileState(f"/photos/{row}.jpg", 1, 1, f"{row:x}") for row in part],
                        metadata=[
                            {"title": f"{' '.join(title)} brand{row % 997}", "article": 10**7 + row}
                            for row, title in zip(part, titles, strict=True)
                        ],
                        vectors=vectors[part.start : part.stop],
                        thumbnails=[b""] * len(part),
                    )
                )
            store.tidy()
        columns = ["id", "title", "article"]
        began = time.perf_counter()
        store.match("red", ["id", "title"], K)
        print(f"{count:,} rows; index of words, made by the first search: ", end="")
        print(f"{time.perf_counter() - began:.1f} s")
        drawn = unit(random_numbers.normal(size=(queries, DIMENSIONS)).astype(np.float32))
        texts = {
            "without words": "",
            "words of a title": "red cotton shirt brand{}",
            "an article number": "100{:05}",
        }
        for name, text in texts.items():
            times = []
            for number, vector in enumerate(drawn):
                words = Words(text.format(number), columns)
                began = time.perf_counter()
                ranking = by_vector(store, vector, None)
                if text:
                    matched = find_words(store, vector, words, None)
                    ranking = fused(store, ranking, vector, matched)
                ranking(20)
                times.append(1000 * (time.perf_counter() - began))
            p50, p95 = np.percentile(times, [50, 95])
            print(f"{name:18} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms", flush=True)


def main() -> None:
    """Print what words bring, or what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery", nargs="?", help="the photos of the split, indexed")
    parser.add_argument("--root", help="folder of the product photos")
    parser.add_argument("--split", default="test")
    parser.add_argument("--columns", default="productDisplayName", help="such as title,brand")
    parser.add_argument("--queries", type=int, default=300, help="of each kind")
    parser.add_argument("--count", type=int, help="measure the time in this many drawn rows")
    arguments = parser.parse_args()
    if arguments.count:
        measure_time(arguments.count, 50)
        return
    dataset = FashionProducts(arguments.root, arguments.split)
    gallery = Gallery.open(arguments.gallery)
    compare(gallery, dataset, arguments.queries, arguments.columns.split(","))


if __name__ == "__main__":
    main()
