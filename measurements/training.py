"""What a step of stage fuse costs: new crops or encoded views, float32 or bfloat16.

python measurements/training.py --model runs/fashion-products-towers/model --root photos

All are timed in turn in one run, batches included; the figures are medians. ``crops`` trains the
towers, too; ``frozen`` leaves them as they are and encodes new crops; ``views`` encoded every image
once, before the clock starts.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

import tmcir
from tmcir.data.datasets import open_dataset
from tmcir.models import TMCIR
from tmcir.training.batches import make_batch
from tmcir.training.gradients import StageModule, backward
from tmcir.training.images import Augmentation, Crops, EncodedViews, Images, ImageStore
from tmcir.training.stages import fuse

FUSION = {"hidden_size": 192, "layers": 2, "heads": 4}
REPEATS = 9


def main() -> None:
    """Print the seconds of a step of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="gives the towers")
    parser.add_argument("--root", required=True, help="folder of the product photos")
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()

    model = TMCIR(tmcir.load(arguments.model, device="cpu").encoder, settings=FUSION)
    dataset = open_dataset("fashion-products", arguments.root, "train")
    stage = fuse(dataset, 0, True, True)
    samples = stage.samples(0)[: arguments.batch_size]
    store = ImageStore(model, dataset.image_path, 1 << 30)
    augmentation = Augmentation(0.7, mirror=True)
    crops, views = Crops(store, augmentation), EncodedViews(store, 1, augmentation, "0")
    kinds: dict[str, tuple[Images, bool]] = {
        "crops": (crops, True),
        "frozen": (crops, False),
        "views": (views, False),
    }
    spent: dict[tuple[str, str], list[float]] = {}
    for repeat in range(REPEATS + 2):
        for precision in ("no", "bf16"):
            for name, (images, trained) in kinds.items():
                model.encoder.requires_grad_(trained)
                accelerator = Accelerator(mixed_precision=precision, cpu=True)
                module = accelerator.prepare(StageModule(model, stage).train())
                began = time.perf_counter()
                batch = make_batch(samples, model.encoder, images, str(repeat))
                backward(module, stage, batch, arguments.batch_size, accelerator)
                if repeat >= 2:
                    spent.setdefault((name, precision), []).append(time.perf_counter() - began)
                model.zero_grad(set_to_none=True)
                AcceleratorState._reset_state(reset_partial_state=True)
    whole = statistics.median(spent["crops", "no"])
    print(f"{torch.get_num_threads()} threads, batches of {arguments.batch_size}")
    print(f"{'images':>8}{'precision':>12}{'seconds':>10}{'ratio':>8}")
    for (name, precision), times in spent.items():
        median = statistics.median(times)
        label = "bfloat16" if precision == "bf16" else "float32"
        print(f"{name:>8}{label:>12}{median:>10.3f}{median / whole:>8.2f}")


if __name__ == "__main__":
    main()
