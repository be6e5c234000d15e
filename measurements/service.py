"""The service under load: requests a second, latency, memory, and where the time goes.

python measurements/service.py GALLERY --clients 1,8,32,64 --seconds 60

Each client sends one search after the other over a connection of its own: a photo of the gallery
with a text, an uploaded photo with a text, a text alone, in turn. Clients share the machine with
the service, so both are in the figures. The last lines time the parts of `encode` in this process,
with nothing else running: the towers ("encode") and the composing method ("fuse").
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from running import memory, running_service

import tmcir

TEXTS = ("in red", "with stripes", "a blue shirt", "for women", "in black leather")
STEPS = ("decode", "wait", "encode", "search")
BOUNDARY = "benchmark"
Request = tuple[str, bytes, str]


@dataclass
class Measured:
    """What clients saw."""

    latencies: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def note(self, took: float, timing: str) -> None:
        """Add an answer and what its header ``Server-Timing`` says."""
        self.latencies.append(took)
        for step, duration in re.findall(r"(\w+);dur=([\d.]+)", timing):
            self.steps[step].append(float(duration))


def make_requests(address: str) -> list[Request]:
    """Return (path, body, content type) of the requests that clients send in turn."""
    host = urlsplit(address).netloc
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/api/v1/items?limit=24")
    ids = [item["id"] for item in json.loads(connection.getresponse().read())["items"]]
    requests: list[Request] = []
    for number, name in enumerate(ids):
        text = TEXTS[number % len(TEXTS)]
        connection.request("GET", f"/api/v1/thumbnails/{name}")
        photo = Image.open(io.BytesIO(connection.getresponse().read()))
        requests += [
            ("/api/v1/search", body({"item": name, "text": text}), "application/json"),
            upload(photo, body({"upload": True, "text": text})),
            ("/api/v1/search", body({"text": f"{text} {number}"}), "application/json"),
        ]
    return requests


def body(turn: dict[str, object]) -> bytes:
    """Return a search of one turn."""
    return json.dumps({"turns": [turn], "k": 24}).encode()


def upload(photo: Image.Image, query: bytes) -> Request:
    """Return a search with a photo of a phone's usual size on the web, 1024 pixels wide."""
    buffer = io.BytesIO()
    photo.resize((1024, 1024 * photo.height // photo.width)).save(buffer, "JPEG", quality=90)
    content = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="query"\r\n\r\n'.encode()
        + query
        + f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"'
        "\r\nContent-Type: image/jpeg\r\n\r\n".encode()
        + buffer.getvalue()
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )
    return "/api/v1/search/upload", content, f"multipart/form-data; boundary={BOUNDARY}"


def load(address: str, requests: list[Request], clients: int, seconds: float) -> Measured:
    """Search with a number of clients for a number of seconds."""
    measured, lock = Measured(), threading.Lock()
    deadline = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        turn = number
        while time.perf_counter() < deadline:
            path, content, kind = requests[turn % len(requests)]
            turn += 1
            began = time.perf_counter()
            try:
                connection.request("POST", path, content, {"Content-Type": kind})
                response = connection.getresponse()
                response.read()
            except OSError as error:
                connection.close()
                with lock:
                    measured.errors[type(error).__name__] += 1
                continue
            with lock:
                if response.status == 200:
                    timing = response.headers["Server-Timing"]
                    measured.note(1000 * (time.perf_counter() - began), timing)
                else:
                    measured.errors[str(response.status)] += 1

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    measured.seconds = time.perf_counter() - began
    return measured


def parts_of_encode(gallery: str, runs: int = 30) -> None:
    """Print the median time of towers and method for batches of 1 and 16."""
    record = tmcir.Gallery.read_model(gallery)
    if record is None:
        return
    model = tmcir.load(record.source)
    photo = Image.fromarray(np.full((model.image_size,) * 2 + (3,), 128, np.uint8))
    for size in (1, 16):
        towers, fusing = [], []
        for _ in range(runs):
            began = time.perf_counter()
            image = model.image_features([photo] * size)
            text = model.text_features(["in red"] * size)
            between = time.perf_counter()
            model.fuse(image, text)
            towers.append(1000 * (between - began))
            fusing.append(1000 * (time.perf_counter() - between))
        towers_median, fusing_median = np.median(towers[1:]), np.median(fusing[1:])
        print(f"batch of {size:2}: encode {towers_median:7.1f} ms   fuse {fusing_median:7.1f} ms")


def main() -> None:
    """Print a row per number of clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gallery")
    parser.add_argument("--clients", default="1,8,32,64")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runtime", choices=("torch", "onnx", "auto"), default="auto")
    arguments = parser.parse_args()
    heads = ("clients", "requests/s", "p50 ms", "p99 ms", "errors", "MiB before", "MiB after")
    print("  ".join(f"{head:>10}" for head in (*heads, *(f"{step} ms" for step in STEPS))))
    with running_service(arguments.gallery, "--runtime", arguments.runtime) as address:
        requests = make_requests(address)
        for clients in map(int, arguments.clients.split(",")):
            before = memory(address)
            measured = load(address, requests, clients, arguments.seconds)
            row = (
                f"{clients}",
                f"{len(measured.latencies) / measured.seconds:.1f}",
                *(f"{np.percentile(measured.latencies, share):.0f}" for share in (50, 99)),
                f"{measured.errors.total()}",
                f"{before:.0f}",
                f"{memory(address):.0f}",
                *(f"{np.median(measured.steps[step]):.1f}" for step in STEPS),
            )
            print("  ".join(f"{cell:>10}" for cell in row), dict(measured.errors) or "", flush=True)
    parts_of_encode(arguments.gallery)


if __name__ == "__main__":
    main()
