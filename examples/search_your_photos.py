"""Search a folder of photos: index it, ask with a photo and a sentence, write a page of results.

    python examples/search_your_photos.py photos --metadata garments.csv \
        --image photos/test-000247.jpg --text "in red"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tmcir
from tmcir.gallery import Query
from tmcir.gallery.page import write_page


def main() -> None:
    """Index, search, and write ``hits.html``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--metadata", type=Path, help="a CSV with a row per photo")
    parser.add_argument("--image", type=Path, required=True, help="the photo to start from")
    parser.add_argument("--text", required=True, help="what should be different")
    parser.add_argument("--where", help='a condition, such as "price < 50"')
    parser.add_argument("--model", default="mini", help="a name, a folder, or a hub id of a CLIP")
    parser.add_argument("--gallery", type=Path, default=Path("shop"), help="made if missing")
    options = parser.parse_args()

    # The gallery remembers its photos: a second run encodes only what is new or changed.
    gallery = tmcir.Gallery.open(options.gallery, options.model)
    report = gallery.add(options.photos, options.metadata)
    print(f"{len(gallery):,} photos, {report.added:,} of them new")
    for name, reason in report.skipped:
        print(f"skipped {name}: {reason}")

    # `gallery.search(...)` does these two steps at once.
    query = Query(image=options.image, text=options.text)
    (vector,) = gallery.embed([query])
    hits = gallery.find(vector, k=20, where=options.where)
    for hit in hits[:5]:
        print(f"{hit.rank:3}  {hit.score:.3f}  {hit.id}")

    write_page(Path("hits.html"), gallery, query, hits, options.where)
    print("look at hits.html")


if __name__ == "__main__":
    main()
