"""Thousands of requests that are made up, and hostile images: what does the service answer?

python measurements/service_requests.py GALLERY --requests 5000 --images 300

Schemathesis makes requests from the OpenAPI schema, some that fit it and some that do not; images
are photos with bytes changed, cut off or put in. Prints how often each status came, the memory of
the service, and fails if there was an answer of 5xx other than 503 of a full queue.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from typing import Any

import httpx
import numpy as np
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from running import memory, running_service
from schemathesis.core.result import Ok

QUERY = '{"turns": [{"upload": true, "text": "in red"}], "k": 5}'


def made_up(address: str, count: int, statuses: Counter[str]) -> None:
    """Send requests made from the schema."""
    found = httpx.get(f"{address}/api/v1/items?limit=48").json()["items"]
    ids = [item["id"] for item in found]
    schema = schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json")
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in modes
        if mode is modes[0] or operation.method == "post"
    ]

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies), st.sampled_from(ids), st.booleans())
    def send(case: Any, name: str, known: bool) -> None:
        if known:  # otherwise hardly any request gets past the look for its photos
            name_photo(case, name)
        response = case.call()
        statuses[f"{case.method.upper()} {case.path} {response.status_code}"] += 1

    send()


def name_photo(case: Any, name: str) -> None:
    """Put a photo that is there into a request that names one."""
    if "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = name
    turns = case.body.get("turns") if isinstance(case.body, dict) else None
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, dict):
            turn.update({key: name for key in turn if key == "item"})
            turn.update({key: [name] for key in turn if key in ("more_like", "less_like")})
            terms = turn.get("terms")
            for term in terms if isinstance(terms, list) else []:
                if isinstance(term, dict) and term.get("item"):
                    term["item"] = name
    if isinstance(case.body, dict) and case.body.get("words"):
        case.body["words"] = ["id"]


def hostile_images(address: str, count: int, statuses: Counter[str]) -> None:
    """Send photos of every format with damaged bytes."""
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (64, 48, 3), dtype=np.uint8))
    originals = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        buffer = io.BytesIO()
        photo.save(buffer, kind)
        originals.append((kind, buffer.getvalue()))
    with httpx.Client(base_url=address, timeout=60) as client:
        for number in range(count):
            kind, content = originals[number % len(originals)]
            response = client.post(
                "/api/v1/search/upload",
                files={"image": damaged(content, random)},
                data={"query": QUERY},
            )
            statuses[f"damaged {kind} {response.status_code}"] += 1


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file with some bytes changed, its end cut off, or noise put in."""
    array = np.frombuffer(content, np.uint8).copy()
    match random.integers(3):
        case 0:
            places = random.integers(0, min(len(array), 400), random.integers(1, 20))
            array[places] = random.integers(0, 256, len(places))
            return array.tobytes()
        case 1:
            return content[: random.integers(0, len(content))]
        case _:
            place = int(random.integers(0, len(content)))
            return content[:place] + random.bytes(int(random.integers(1, 500))) + content[place:]


def main() -> None:
    """Print a row per route and status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery")
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    statuses: Counter[str] = Counter()
    with running_service(arguments.gallery) as address:
        before, began = memory(address), time.perf_counter()
        hostile_images(address, arguments.images, statuses)
        between = memory(address)
        made_up(address, arguments.requests, statuses)
        seconds = time.perf_counter() - began
        after = memory(address)
    for row, number in sorted(statuses.items()):
        print(f"{number:7,}  {row}")
    broken = sum(number for row, number in statuses.items() if row.split()[-1] in ("500", "502"))
    late = sum(number for row, number in statuses.items() if row.split()[-1] in ("503", "504"))
    print(
        f"{statuses.total():,} requests in {seconds:.0f} s: {broken} of 500, {late} of 503 or 504"
    )
    print(
        f"memory {before:.0f} MiB, after the images {between:.0f} MiB, at the end {after:.0f} MiB"
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
