"""Do pseudo-targets show what their texts ask for, and keep the rest? How fast are they made?

A classifier of attributes, trained on the real photos of the training split, looks at the
pseudo-targets of the validation split, and at the unedited references and the real targets for
comparison. "Shown": it sees the asked-for value. "Kept": it sees the reference's values of the
other three attributes, on average over the three, and of all three at once.

    tmcir generate fashion-products-pseudo-targets dataset.root=P split=val output=runs/val
    python measurements/pseudo_targets.py --root P --folder runs/val

With --steps it makes pseudo-targets itself, for a part of the split and by each number of
sampling steps, and prints speed and memory as well:

    python measurements/pseudo_targets.py --root P --editor mini-editor --steps 2 4 8 16 --count 256
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from attributes import AttributeClassifier, trained_classifier
from cards import write_measured
from PIL import Image

from tmcir.core.images import read_image
from tmcir.core.json_files import read_json
from tmcir.data.dataset import Triplet
from tmcir.data.fashion_products import FashionProducts
from tmcir.data.pseudo_targets import read_pseudo_targets
from tmcir.generation import EditorSettings, load_editor

Caption = tuple[str, ...]
Shares = tuple[int, float, float, float]
BATCH = 32


def judged(
    dataset: FashionProducts, triplets: Sequence[Triplet], seen: Sequence[Caption]
) -> dict[str, Shares]:
    """Return for each kind, and for all: count, shown, kept on average, kept all three."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for triplet, caption in zip(triplets, seen, strict=True):
        judgement = dataset.judge_caption(triplet, caption)
        row = (judgement.changed, judgement.kept, float(judgement.kept == 1))
        rows.setdefault(triplet.kind, []).append(row)
        rows.setdefault("all", []).append(row)
    return {
        kind: (len(found), *(sum(column) / len(found) for column in zip(*found, strict=True)))
        for kind, found in sorted(rows.items())
    }


def show(name: str, found: dict[str, Shares]) -> None:
    """Print a line for each kind of change."""
    for kind, (count, shown, kept, whole) in found.items():
        print(
            f"{name:24} {kind:8} {count:6,}  shown {100 * shown:5.1f}  kept {100 * kept:5.1f}"
            f"  all three kept {100 * whole:5.1f}",
            flush=True,
        )


def write_card(path: Path, settings: str, rows: dict[str, dict[str, Shares]]) -> None:
    """Put the figures into the README of an editor, in place of those that it had."""
    lines = [
        "`measurements/pseudo_targets.py` on the validation split of the photos, in percent;",
        f"a classifier trained on real photos judges. Sampling: {settings}.",
        "",
        "| what it looks at | kind of change | count | shown | kept | all three kept |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in rows.items():
        for kind, (count, *shares) in found.items():
            columns = " | ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {name} | {kind} | {count:,} | {columns} |")
    write_measured(path, lines)


def by_steps(
    arguments: argparse.Namespace, dataset: FashionProducts, classifier: AttributeClassifier
) -> None:
    """Make pseudo-targets by each number of steps, and judge them."""
    triplets = list(dataset.triplets)[: arguments.count]
    references = [read_image(dataset.image_path(triplet.reference)) for triplet in triplets]
    for steps in arguments.steps:
        settings = EditorSettings(
            source=arguments.editor,
            steps=steps,
            guidance=arguments.guidance,
            image_guidance=arguments.image_guidance,
        )
        editor = load_editor(settings)
        edited: list[Image.Image] = []
        began = time.perf_counter()
        for start in range(0, len(triplets), BATCH):
            part = slice(start, start + BATCH)
            texts = [triplet.text for triplet in triplets[part]]
            seeds = range(start, start + len(texts))
            edited += editor.edit(references[part], texts, seeds)
        rate = len(triplets) / (time.perf_counter() - began)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = judged(dataset, triplets, classifier.predict(edited))
        print(f"steps {steps}: {rate:.1f} images/s, peak memory {memory:.0f} MB")
        show(f"pseudo-targets, {steps} steps", found)


def by_folder(
    folder: Path, dataset: FashionProducts, classifier: AttributeClassifier
) -> dict[str, dict[str, Shares]]:
    """Judge the pseudo-targets of a folder, and what they are compared with."""
    drawn = {row.id: row for row in read_pseudo_targets(folder, kept_only=False)}
    triplets = [triplet for triplet in dataset.triplets if triplet.id in drawn]
    kept = [triplet for triplet in triplets if not drawn[triplet.id].rejected_by]
    rows = {}
    for name, chosen, files in (
        ("pseudo-targets", triplets, [drawn[triplet.id].file for triplet in triplets]),
        ("pseudo-targets, kept", kept, [drawn[triplet.id].file for triplet in kept]),
        ("unedited references", triplets, [dataset.image_path(t.reference) for t in triplets]),
        ("real targets", triplets, [dataset.image_path(str(t.target)) for t in triplets]),
    ):
        rows[name] = judged(dataset, chosen, classifier.predict(files))
        show(name, rows[name])
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the product photos")
    parser.add_argument("--folder", type=Path, help="pseudo-targets of the validation split")
    parser.add_argument("--classifier", type=Path, default=Path("runs/attributes.safetensors"))
    parser.add_argument("--card", type=Path, help="README of the editor, to write the figures to")
    parser.add_argument("--editor", default="mini-editor")
    parser.add_argument("--steps", type=int, nargs="*", default=[])
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--image-guidance", type=float, default=1.5)
    parser.add_argument("--count", type=int, default=256)
    arguments = parser.parse_args()
    classifier = trained_classifier(arguments.root, arguments.classifier)
    dataset = FashionProducts(arguments.root, "val")
    if arguments.steps:
        by_steps(arguments, dataset, classifier)
    if arguments.folder is None:
        return
    rows = by_folder(arguments.folder, dataset, classifier)
    if arguments.card is not None:
        recipe = read_json(arguments.folder / "recipe.json")["editor"]
        settings = ", ".join(
            f"{name} {recipe[name]}" for name in ("steps", "guidance", "image_guidance")
        )
        write_card(arguments.card, settings, rows)


if __name__ == "__main__":
    main()
