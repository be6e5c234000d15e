"""A classifier of the product photos' attributes, to judge pseudo-targets by.

It is trained on the real photos of the training split alone, without the editor or any model of
the package. Letters used in shapes: N photos, S image side.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn import functional

from tmcir.data.fashion_products import FashionProducts
from tmcir.data.products import KINDS
from tmcir.models.preprocessing import ImagePreprocessor, read_pixels
from tmcir.training.images import Augmentation

SIDE = 64
EPOCHS = 16
BATCH = 64
RATE = 2e-3
WIDTHS = (32, 64, 128, 192)


class AttributeClassifier(nn.Module):
    """Four answers about one photo: gender, colour, pattern and type.

    Args:
        values: The values of each of the four.
    """

    def __init__(self, values: list[list[str]]) -> None:
        super().__init__()
        self.values = values
        layers: list[nn.Module] = []
        before = 3
        for width in WIDTHS:
            layers += [
                nn.Conv2d(before, width, 3, stride=2 if before > 3 else 1, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1, bias=False, groups=width // 16),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            before = width
        self.features = nn.Sequential(nn.AvgPool2d(2), *layers)
        self.heads = nn.ModuleList(nn.Linear(2 * before, len(names)) for names in values)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return logits for float [N, 3, S, S] with values in 0..255."""
        scaled = (pixels / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        maps = self.features(scaled)  # [N, width, S / 16, S / 16]
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return [head(pooled) for head in self.heads]

    @torch.inference_mode()
    def predict(self, images: list[Path] | list[Image.Image]) -> list[tuple[str, ...]]:
        """Return (gender, colour, pattern, type) of each image."""
        found: list[tuple[str, ...]] = []
        for start in range(0, len(images), 256):
            batch = read_pixels(images[start : start + 256], ImagePreprocessor(size=SIDE))
            pixels = torch.from_numpy(batch)
            places = [logits.argmax(dim=1).tolist() for logits in self(pixels.float())]
            for row in zip(*places, strict=True):
                found.append(tuple(names[p] for names, p in zip(self.values, row, strict=True)))
        return found


def trained_classifier(root: Path, file: Path) -> AttributeClassifier:
    """Load the classifier, or train and save it if it does not exist."""
    dataset = FashionProducts(root, "train")
    items = [item for item in dataset.items if item.caption is not None]
    captions = [item.caption for item in items if item.caption is not None]
    values = [sorted({caption[kind] for caption in captions}) for kind in range(len(KINDS))]
    torch.manual_seed(0)
    model = AttributeClassifier(values)
    if file.exists():
        load_model(model, file)
        return model.eval()
    paths = [dataset.image_path(item.id) for item in items]
    pixels = torch.from_numpy(read_pixels(paths, ImagePreprocessor(size=SIDE)))
    labels = torch.tensor(
        [[values[kind].index(caption[kind]) for kind in range(len(KINDS))] for caption in captions]
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _train(model, pixels, labels)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, str(file))
    return model.eval()


def _train(model: AttributeClassifier, pixels: Tensor, labels: Tensor) -> None:
    steps = EPOCHS * (len(pixels) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for step in range(steps):
        rows = torch.randint(len(pixels), (BATCH,), generator=generator)
        crops = Augmentation(0.8, mirror=True)(pixels[rows], generator)
        loss = sum(
            functional.cross_entropy(logits, labels[rows, kind], label_smoothing=0.05)
            for kind, logits in enumerate(model(crops))
        )
        assert isinstance(loss, Tensor)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"classifier  step {step}/{steps}  loss {loss.item():.3f}", flush=True)
